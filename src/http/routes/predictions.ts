/** One prediction for operators: what was sent, what was answered, and what is known to be true. */
import type { FastifyInstance } from 'fastify';
import type * as z from 'zod';
import { problemResponses } from '../schemas/problem.ts';
import { predictionParameters, storedPrediction } from '../schemas/stored-prediction.ts';

export interface PredictionOperations {
  /** Rejects with `unknown_prediction`, and with `database_unavailable` while the database is away. */
  show(id: string): Promise<z.input<typeof storedPrediction>>;
}

export function registerPredictionRoutes(app: FastifyInstance, predictions: PredictionOperations): void {
  app.get<{ Params: { id: string } }>('/predictions/:id', {
    schema: {
      ...{ tags: ['Predictions'], summary: 'A stored prediction and its label', params: predictionParameters },
      response: { 200: storedPrediction, ...problemResponses('unknown_prediction', 'database_unavailable') },
    },
    handler: async ({ params: { id } }) => predictions.show(id),
  });
}
