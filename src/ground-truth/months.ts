/** The tables of ground truth that are kept by months: those of the predictions. */
import type { MonthlyTable } from '../database/month-partitions.ts';

export const groundTruthMonths: readonly MonthlyTable[] = [
  { name: 'ground_truth', timeColumn: 'predicted_at' },
  { name: 'ground_truth_revision', timeColumn: 'predicted_at' },
];
