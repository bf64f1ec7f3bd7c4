/**
 * Every metric: its type, its labels, what it means, and what becomes of it when several processes make up the service. Its
 * values come from service-samples.ts and process-samples.ts; docs/operations.md says what to do when one is odd.
 */

interface Metric {
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  labels?: readonly string[];
  /** Of a gauge: the value of all processes. Counters and histograms are added up. */
  across?: 'sum' | 'max' | 'min';
}

export const catalogue = {
  ridgeline_http_requests_total: {
    type: 'counter',
    help: 'Answers of the public port; route is "none" where no route matched, or what came was not HTTP',
    labels: ['route', 'status'],
  },
  ridgeline_http_request_duration_seconds: {
    type: 'histogram',
    help: 'From the end of the head of a request to its answer; not of what was not HTTP',
    labels: ['route'],
  },
  ridgeline_refusals_total: {
    type: 'counter',
    help: 'Answers of the public port that are problems, by the code at the end of their type',
    labels: ['reason'],
  },
  ridgeline_inference_queue_duration_seconds: {
    type: 'histogram',
    help: 'How long the rows of a request waited for the run that they share with others',
  },
  ridgeline_inference_run_duration_seconds: {
    type: 'histogram',
    help: 'One call of ONNX Runtime, during which nothing else is done',
  },
  ridgeline_inference_rows_total: {
    type: 'counter',
    help: 'Rows answered with a prediction; neither those of refused requests nor golden or warm-up rows',
  },
  ridgeline_prediction_log_backlog_rows: {
    type: 'gauge',
    help: 'Answered predictions that are not in PostgreSQL yet',
    across: 'sum',
  },
  ridgeline_prediction_log_backlog_age_seconds: {
    type: 'gauge',
    help: 'Since the oldest of them was answered; 0 without any',
    across: 'max',
  },
  ridgeline_prediction_log_spool_bytes: {
    type: 'gauge',
    help: 'All spools under DATA_DIR, those of earlier processes too',
    across: 'max',
  },
  ridgeline_prediction_log_spool_limit_bytes: { type: 'gauge', help: 'SPOOL_MAX_BYTES', across: 'max' },
  ridgeline_dead_letters_total: {
    type: 'counter',
    help: 'Records set aside in dead-letter.jsonl, as they cannot be stored',
  },
  ridgeline_relay_batches_total: {
    type: 'counter',
    help: 'Statements that move records to PostgreSQL: stored; failed, and tried again; refused for their content',
    labels: ['result'],
  },
  ridgeline_pipeline_swaps_total: {
    type: 'counter',
    help: 'Versions that a process has begun to serve, the one at its start too, and promotions that it refused',
    labels: ['result'],
  },
  ridgeline_pipeline_info: {
    type: 'gauge',
    help: 'The version that is served',
    labels: ['version', 'sha256'],
    across: 'max',
  },
  ridgeline_ground_truth_labels_total: {
    type: 'counter',
    help: 'Labels that were sent over HTTP to either port, by what became of them',
    labels: ['result'],
  },
  ridgeline_quality_rmse: {
    type: 'gauge',
    help: 'Root of the mean squared error of the predictions of the last 7 days whose truth is known',
    labels: ['version'],
    across: 'max',
  },
  ridgeline_quality_rmse_lower: {
    type: 'gauge',
    help: 'Lower end of its 95 % interval',
    labels: ['version'],
    across: 'max',
  },
  ridgeline_quality_rmse_upper: {
    type: 'gauge',
    help: 'Upper end of its 95 % interval',
    labels: ['version'],
    across: 'max',
  },
  ridgeline_quality_bias: {
    type: 'gauge',
    help: 'Mean of prediction - actual',
    labels: ['version'],
    across: 'max',
  },
  ridgeline_quality_labels: {
    type: 'gauge',
    help: 'Predictions of the last 7 days whose truth is known',
    labels: ['version'],
    across: 'max',
  },
  ridgeline_quality_label_share: {
    type: 'gauge',
    help: 'Their share in all of them',
    labels: ['version'],
    across: 'max',
  },
  ridgeline_quality_coverage: {
    type: 'gauge',
    help: 'Share of truths inside of their interval of level 0.9',
    labels: ['version'],
    across: 'max',
  },
  ridgeline_drift_psi: {
    type: 'gauge',
    help: 'Stability index of a feature, or of the prediction, against the training data; 0.2 and more is drift if it is significant',
    labels: ['version', 'feature'],
    across: 'max',
  },
  ridgeline_alarm: {
    type: 'gauge',
    help: '1 while it fires; what it is about, and the version',
    labels: ['subject'],
    across: 'max',
  },
  ridgeline_job_runs_total: {
    type: 'counter',
    help: 'Runs of jobs beside the serving: ok, or failed and tried again',
    labels: ['job', 'result'],
  },
  ridgeline_job_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When a job was done last, since 1970; it is one host that does it',
    labels: ['job'],
    across: 'max',
  },
  ridgeline_log_lines_dropped_total: {
    type: 'counter',
    help: 'Lines of the log that nobody took in time',
  },

  process_cpu_user_seconds_total: { type: 'counter', help: 'Processor time outside the kernel' },
  process_cpu_system_seconds_total: { type: 'counter', help: 'Processor time in the kernel' },
  process_cpu_seconds_total: { type: 'counter', help: 'Both together' },
  process_start_time_seconds: {
    type: 'gauge',
    help: 'When the first of the processes started, since 1970',
    across: 'min',
  },
  process_resident_memory_bytes: { type: 'gauge', help: 'Resident memory', across: 'sum' },
  process_open_fds: { type: 'gauge', help: 'Open file descriptors', across: 'sum' },
  nodejs_heap_size_total_bytes: { type: 'gauge', help: 'Heap of V8', across: 'sum' },
  nodejs_heap_size_used_bytes: { type: 'gauge', help: 'Used heap of V8', across: 'sum' },
  nodejs_external_memory_bytes: { type: 'gauge', help: 'Memory of buffers outside the heap', across: 'sum' },
  nodejs_eventloop_lag_p99_seconds: {
    type: 'gauge',
    help: 'How late timers were, at the 99th percentile of the last ten seconds',
    across: 'max',
  },
  nodejs_version_info: { type: 'gauge', help: 'Of Node', labels: ['version'], across: 'max' },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof catalogue;

export const metricNames = Object.keys(catalogue) as MetricName[];

export function metricOf(name: MetricName): Metric {
  return catalogue[name];
}
