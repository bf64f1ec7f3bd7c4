-- Up Migration

create table retraining (
  slot             timestamptz primary key,
  started_at       timestamptz not null default now(),
  finished_at      timestamptz,
  outcome          text check (outcome in ('published', 'failed')),
  pipeline_version text references ml_pipeline,
  detail           text
);
comment on table retraining is 'One row for each minute in which cron asked for a training: whichever scheduler writes it first runs it.';
comment on column retraining.slot is 'The minute that cron named.';
comment on column retraining.started_at is 'When a scheduler took it.';
comment on column retraining.finished_at is 'When the training ended; null while it runs, and for good if its scheduler died.';
comment on column retraining.outcome is 'published or failed.';
comment on column retraining.pipeline_version is 'The version that was published.';
comment on column retraining.detail is 'Why it failed.';

-- Down Migration

drop table retraining;
