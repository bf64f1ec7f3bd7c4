/** The tables of the prediction log that are kept by months. */
import type { MonthlyTable } from '../../database/month-partitions.ts';

export const predictionMonths: readonly MonthlyTable[] = [{ name: 'predictions', timeColumn: 'created_at' }];
