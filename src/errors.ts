/**
 * The closed catalogue of errors. Everything that can be refused is one entry: a code that machines match on, the HTTP
 * status a caller sees, and a message that says what to do next. `%s` stands for the one detail that varies.
 */
const catalogue = {
  invalid_json: [400, 'The body is not valid JSON', '%s Send one JSON object encoded in UTF-8.'],
  invalid_request: [400, 'The request cannot be read', 'Send a well-formed HTTP/1.1 request. %s'],
  not_found: [404, 'No such route', 'This port has no such route. %s'],
  unknown_version: [
    404,
    'There is no such version',
    '%s GET /pipelines, or npm run pipelines -- list, shows those that there are.',
  ],
  unknown_prediction: [
    404,
    'There is no such prediction',
    'Send the prediction_id of an answer. It may have been dropped with its month. %s',
  ],
  method_not_allowed: [405, 'Method not allowed', 'Use one of the methods in the Allow header: %s.'],
  request_timeout: [408, 'The request took too long to arrive', 'Send the whole request within %s seconds.'],
  version_rejected: [409, 'The version was rejected', '%s Promote another one.'],
  version_emptied: [409, 'The artefact of the version is gone', 'It was old and never promoted. Train it again.'],
  nothing_to_roll_back: [
    409,
    'There is nothing to roll back to',
    'No version served before that was not rejected or left by a roll back. Promote one by its name.',
  ],
  breaking_change: [409, 'The change would break the requests of callers', '%s'],
  predictions_not_stored: [
    409,
    'Predictions are not stored',
    'What is not stored has no truth: an operator can set PREDICTION_LOG to spool or sync.',
  ],
  declaration: [409, 'The declaration cannot be used', '%s'],
  body_too_large: [413, 'The body is too large', 'Send at most %s bytes; split large batches.'],
  unsupported_media_type: [
    415,
    'Unsupported media type',
    'Send Content-Type: application/json, in UTF-8 and without compression.',
  ],
  expectation_failed: [417, 'The expectation cannot be met', 'Send no Expect header, or Expect: 100-continue.'],
  invalid_parameters: [422, 'The parameters are not valid', 'Correct every parameter listed in errors and send again.'],
  invalid_body: [422, 'The body is not valid', 'Correct every field listed in errors and send again.'],
  invalid_features: [422, 'The features are not valid', 'Correct every field listed in errors and send again.'],
  invalid_ground_truth: [
    422,
    'The ground truth is not valid',
    'Correct every field listed in errors and send again; nothing was stored.',
  ],
  outside_model_domain: [
    422,
    'The prediction is not a finite number',
    'Bring the listed values nearer to the usual range.',
  ],
  interval_unavailable: [
    422,
    'The version that answers has no such interval',
    'It was trained on too few rows for this level, or by a version of Ridgeline that kept no errors. Ask for a lower level, or leave interval out.',
  ],
  contributions_unavailable: [
    422,
    'The version that answers cannot tell contributions',
    'They are not known exactly of this version. Leave contributions out.',
  ],
  headers_too_large: [431, 'The request headers are too large', 'Send fewer or shorter headers.'],
  internal: [500, 'Unexpected error', 'The error is logged under this request_id. Retry; report it if it stays.'],
  no_pipeline: [
    503,
    'No pipeline is loaded',
    'Retry in a few seconds; an operator can publish one with npm run train.',
  ],
  overloaded: [503, 'The service is at its capacity', 'Retry after the time in the Retry-After header.'],
  prediction_not_stored: [503, 'The prediction could not be stored', 'Retry after the time in the Retry-After header.'],
  database_unavailable: [
    503,
    'The database cannot be used now',
    'Retry after the time in the Retry-After header; /health says what is wrong.',
  ],
  pipeline_replaced: [
    503,
    'The pipeline was replaced meanwhile',
    'Send the request again; it is read for the features of the new pipeline.',
  ],
  shutting_down: [503, 'The service is shutting down', 'Retry; another instance will answer.'],

  training_data: [undefined, 'The training data cannot be used', '%s'],
  singular_system: [undefined, 'The ridge system is singular', '%s'],
  parity: [undefined, 'The exported pipeline does not reproduce the fit', '%s'],
  run_failed: [undefined, 'The pipeline cannot be run', '%s'],
  bad_artefact: [undefined, 'The artefact cannot be served', '%s'],
  database_setup: [undefined, 'The database cannot be used', '%s'],
  database_unreachable: [undefined, 'The database cannot be reached', '%s'],
  spool: [undefined, 'The spool cannot be used', '%s'],
  cannot_listen: [undefined, 'The port cannot be opened', '%s'],
} as const satisfies Record<string, readonly [number | undefined, string, string]>;

export type ErrorCode = keyof typeof catalogue;

/** One faulty place in a request: a JSON pointer (RFC 6901), a code and a sentence. */
export interface FieldError {
  pointer: string;
  parameter?: undefined;
  code: string;
  message: string;
}

/** One faulty parameter of a query or of a path. */
export interface ParameterError {
  pointer?: undefined;
  parameter: string;
  code: string;
  message: string;
}

/** No answer lists more faults than this, so that a small request cannot ask for a large answer. */
export const MAX_FIELD_ERRORS = 20;

interface ErrorOptions {
  detail?: string;
  errors?: readonly (FieldError | ParameterError)[];
  errorsTruncated?: boolean;
  members?: Readonly<Record<string, string>>;
  retryAfterSeconds?: number;
  rows?: number;
  cause?: unknown;
}

export class RidgelineError extends Error {
  readonly code: ErrorCode;
  /** The HTTP status, or undefined for errors that only commands meet. */
  readonly status: number | undefined;
  readonly title: string;
  readonly errors: readonly (FieldError | ParameterError)[] | undefined;
  readonly errorsTruncated: boolean;
  /** What the problem of one route says besides (RFC 9457, 3.2). */
  readonly members: Readonly<Record<string, string>> | undefined;
  readonly retryAfterSeconds: number | undefined;
  /** Of the request, where they were counted; for the log. */
  readonly rows: number | undefined;

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    const [status, title, template] = catalogue[code];
    const detail = template.replace('%s', () => options.detail ?? '').trim();
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RidgelineError';
    this.code = code;
    this.status = status;
    this.title = title;
    this.errors = options.errors;
    this.errorsTruncated = options.errorsTruncated ?? false;
    this.members = options.members;
    this.retryAfterSeconds = options.retryAfterSeconds ?? (status === 503 ? 1 : undefined);
    this.rows = options.rows;
  }
}

export const errorCodes = Object.keys(catalogue) as ErrorCode[];

/** The message of anything thrown, for logs and for the reason recorded beside a rejected version. */
export function reasonOf(error: unknown): string {
  if (error instanceof RidgelineError) return `${error.title}: ${error.message}`;
  // A refused connection to a name with several addresses is an AggregateError whose own message is empty.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** What to tell whoever has started a command: the message of an error of ours, anything else as it is. */
export function tellable(error: unknown): string {
  return error instanceof RidgelineError ? error.message : reasonOf(error);
}
