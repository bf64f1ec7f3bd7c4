/** Errors as RFC 9457 problem details. */
import * as z from 'zod';
import { type ErrorCode, errorCodes, RidgelineError } from '../../errors.ts';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

export const problem = z
  .object({
    type: z.string().meta({ description: `urn:ridgeline:error: and one of ${errorCodes.join(', ')}` }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What to do next' }),
    request_id: z.string().meta({ description: 'The x-request-id of the answer, under which the log speaks of it' }),
    errors: z
      .array(
        z.object({
          pointer: z.string().optional().meta({ description: 'JSON pointer (RFC 6901) into the body' }),
          parameter: z.string().optional().meta({ description: 'Of the query, in place of the pointer' }),
          code: z.string(),
          message: z.string(),
        }),
      )
      .optional(),
    errors_truncated: z.boolean().optional(),
  })
  .meta({ description: 'A problem (RFC 9457)' });

export type Problem = z.infer<typeof problem>;

export function toProblem(error: RidgelineError, status: number, requestId: string): Problem {
  return {
    type: `urn:ridgeline:error:${error.code}`,
    title: error.title,
    status,
    detail: error.message,
    request_id: requestId,
    ...(error.errors && { errors: [...error.errors] }),
    ...(error.errorsTruncated && { errors_truncated: true }),
    ...error.members,
  };
}

type ErrorOptions = ConstructorParameters<typeof RidgelineError>[1];

/** What varies from one problem to another, as the documentation shows it. */
const exampleOptions: Partial<Record<ErrorCode, ErrorOptions>> = {
  invalid_parameters: {
    errors: [
      {
        parameter: 'colour',
        code: 'unknown_parameter',
        message: 'There is no such parameter here. Remove it or correct its name.',
      },
    ],
  },
};

/**
 * The `response` entries of a route for the errors that it can answer with: the most usual ones of each status. A code may
 * come with what its example tells, if that depends on the settings or on the contract.
 */
export function problemResponses(...errors: (ErrorCode | [code: ErrorCode, example: ErrorOptions])[]) {
  const byStatus = new Map<number, RidgelineError[]>();
  for (const one of errors) {
    const [code, example] = typeof one === 'string' ? [one, exampleOptions[one]] : one;
    const error = new RidgelineError(code, example);
    byStatus.set(error.status!, [...(byStatus.get(error.status!) ?? []), error]);
  }
  const responses = [...byStatus].map(([status, ofStatus]) => {
    const examples = ofStatus.map((error) => toProblem(error, status, '6de668a610ce-a'));
    const members = ofStatus.flatMap((error) => Object.entries(error.members ?? {}));
    const schema = problem
      .extend(Object.fromEntries(members.map(([name, value]) => [name, z.literal(value)])))
      .meta({ ...problem.meta(), examples });
    const description = ofStatus.map(({ title }) => title).join('. ');
    return [status, { description, content: { [PROBLEM_MEDIA_TYPE]: { schema } } }];
  });
  return Object.fromEntries(responses);
}
