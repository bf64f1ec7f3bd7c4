-- Up Migration

create table ml_pipeline_gate (
  gate_id          bigint generated always as identity primary key,
  pipeline_version text not null references ml_pipeline,
  champion_version text references ml_pipeline,
  look             integer,
  decided_at       timestamptz not null,
  n                integer not null,
  holdout_from     timestamptz,
  holdout_to       timestamptz,
  champion_rmse    double precision,
  challenger_rmse  double precision,
  mean_difference  double precision,
  t                double precision,
  p_better         double precision,
  p_worse          double precision,
  alpha            double precision,
  decision         text not null check (decision in ('promoted', 'held', 'rejected')),
  reason           text not null,
  decided_by       text not null,
  judged_sha256    text not null
);
create index ml_pipeline_gate_version on ml_pipeline_gate (pipeline_version, gate_id);
comment on table ml_pipeline_gate is 'Tests of versions against what was served, on labelled predictions that neither had learned from. Rows are only added.';
comment on column ml_pipeline_gate.gate_id is 'Grows with every test.';
comment on column ml_pipeline_gate.pipeline_version is 'The version that was judged, or that was fitted anew on all rows because the judged fit was better.';
comment on column ml_pipeline_gate.champion_version is 'What was served; null where nothing was.';
comment on column ml_pipeline_gate.look is 'Which test of this version it was, from 1; null where there were too few rows to test.';
comment on column ml_pipeline_gate.decided_at is 'When, by the clock of the service.';
comment on column ml_pipeline_gate.n is 'Labelled predictions that both were run on.';
comment on column ml_pipeline_gate.holdout_from is 'When the oldest of them was answered; null without any.';
comment on column ml_pipeline_gate.holdout_to is 'When the newest of them was answered.';
comment on column ml_pipeline_gate.champion_rmse is 'Root of the mean squared error on them, of what was served.';
comment on column ml_pipeline_gate.challenger_rmse is 'The same of the judged fit; null where it was not run on them.';
comment on column ml_pipeline_gate.mean_difference is 'Mean of the squared errors of the champion minus those of the challenger: above 0 the challenger is nearer.';
comment on column ml_pipeline_gate.t is 'Of the paired t-test; null where all differences are the same, and without a test.';
comment on column ml_pipeline_gate.p_better is 'How likely such a difference is where the challenger is not better.';
comment on column ml_pipeline_gate.p_worse is 'How likely such a difference is where the challenger is not worse.';
comment on column ml_pipeline_gate.alpha is 'Up to which p_better it counts as better at this look.';
comment on column ml_pipeline_gate.decision is 'promoted; held: judged again when more truths have come; rejected: worse, never promoted by itself.';
comment on column ml_pipeline_gate.reason is 'In a word.';
comment on column ml_pipeline_gate.decided_by is 'What asked for it: train or schedule.';
comment on column ml_pipeline_gate.judged_sha256 is 'Of the artefact that was judged.';

alter table retraining
  add column gate_id bigint references ml_pipeline_gate,
  add column cron    text;
comment on column retraining.gate_id is 'The test of the version that was published; null where there was none.';
comment on column retraining.cron is 'The cron fields that named the minute; null in rows of servers that did not store them.';
comment on column retraining.outcome is 'promoted; published without being promoted; held, because somebody has chosen what is served, or because it is not proven better; rejected as worse; unchanged: nothing new to publish; failed; missed: no scheduler ran then. Servers of the versions before write published for promoted.';
comment on column retraining.detail is 'Why it came to that.';
comment on column ml_pipeline.training_rows is 'How many rows it was trained on: shipped (or those of a file), labelled, and duplicates that were left out; of the labelled ones when the first and the last were answered (labelled_from, labelled_to) and when the last truth arrived (labels_received_until), by which they can be found again. Null in rows of servers that did not store it: there metrics.rows counts them.';

-- Down Migration

comment on column ml_pipeline.training_rows is 'How many rows it was trained on: shipped (or those of a file), labelled, and duplicates that were left out. Null in rows of servers that did not store it: there metrics.rows counts them.';
comment on column retraining.detail is 'Why it was not promoted.';
comment on column retraining.outcome is 'promoted; published without being promoted; held, because somebody has chosen what is served; failed. Servers of the version before write published for promoted.';
alter table retraining
  drop column cron,
  drop column gate_id;
drop table ml_pipeline_gate;
