-- Up Migration

create table ml_pipeline (
  pipeline_version text primary key check (pipeline_version ~ '^[0-9]{4}_[0-9]{2}_[0-9]{2}__[0-9]{2}_[0-9]{2}_[0-9]{2}$'),
  created_at       timestamptz not null default now(),
  artefact         bytea not null,
  sha256           text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  hyperparameters  jsonb not null,
  metrics          jsonb not null,
  data_sha256      text not null check (data_sha256 ~ '^[0-9a-f]{64}$'),
  code_sha256      text not null check (code_sha256 ~ '^[0-9a-f]{64}$'),
  golden_rows      jsonb not null,
  feature_profile  jsonb not null,
  rejected_at      timestamptz,
  rejected_reason  text
);
comment on table ml_pipeline is 'Every published pipeline version with all that is needed to serve and to judge it.';
comment on column ml_pipeline.pipeline_version is 'Time of publication, YYYY_MM_DD__HH_MM_SS in UTC, moved on by a second where taken.';
comment on column ml_pipeline.created_at is 'When the row was written, by the clock of the database.';
comment on column ml_pipeline.artefact is 'The ONNX model, whole: every server can load it from here.';
comment on column ml_pipeline.sha256 is 'SHA-256 of the artefact in hexadecimal; compared before the bytes are loaded.';
comment on column ml_pipeline.hyperparameters is 'What the training was told: alpha, seed, number of folds.';
comment on column ml_pipeline.metrics is 'cv_rmse, cv_mae, cv_r2 out of fold; train_rmse, train_mae, train_r2 on the rows of the fit.';
comment on column ml_pipeline.data_sha256 is 'SHA-256 of the training data: its column names, its numbers.';
comment on column ml_pipeline.code_sha256 is 'SHA-256 of the training code as it ran.';
comment on column ml_pipeline.golden_rows is 'Rows with the answers that the fit gave; a server that cannot reproduce them does not serve the version.';
comment on column ml_pipeline.feature_profile is 'For each feature: range, mean and deciles, or categories and counts, in the training data.';
comment on column ml_pipeline.rejected_at is 'When a server refused to serve the version; null while none has.';
comment on column ml_pipeline.rejected_reason is 'Why the server refused it.';

create table ml_pipeline_promotion (
  promotion_id     bigint generated always as identity primary key,
  pipeline_version text not null references ml_pipeline,
  promoted_at      timestamptz not null default now(),
  promoted_by      text not null,
  reason           text not null
);
comment on table ml_pipeline_promotion is 'Append-only history of what is served: the entry with the highest promotion_id. A roll back is one more entry.';
comment on column ml_pipeline_promotion.promotion_id is 'Order of the promotions.';
comment on column ml_pipeline_promotion.pipeline_version is 'The version to serve from then on.';
comment on column ml_pipeline_promotion.promoted_at is 'When, by the clock of the database.';
comment on column ml_pipeline_promotion.promoted_by is 'Who or what promoted it, such as train or schedule.';
comment on column ml_pipeline_promotion.reason is 'Why.';

-- Down Migration

drop table ml_pipeline_promotion;
drop table ml_pipeline;
