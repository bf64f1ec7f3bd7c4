-- Up Migration

alter table ml_pipeline
  add column training_rows jsonb,
  add column data_file     jsonb;
comment on column ml_pipeline.training_rows is 'How many rows it was trained on: shipped (or those of a file), labelled, and duplicates that were left out. Null in rows of servers that did not store it: there metrics.rows counts them.';
comment on column ml_pipeline.data_file is 'The file that its rows came from: name, sha256, rows, columns; null for the data set that ships.';
comment on column ml_pipeline.artefact is 'The ONNX model, whole: every server can load it from here. Empty once a version is older than 90 days and was never promoted.';

alter table ml_pipeline_promotion add column action text not null default 'hand'
  check (action in ('train', 'schedule', 'publish', 'hand', 'rollback', 'resume'));
comment on column ml_pipeline_promotion.action is 'What was done: train, schedule, publish, hand, rollback or resume. Scheduled trainings hold while the newest entry is hand or rollback.';
update ml_pipeline_promotion set action = case promoted_by when 'schedule' then 'schedule' else 'train' end
where promoted_by in ('start', 'train', 'schedule');

alter table retraining
  drop constraint retraining_outcome_check,
  add constraint retraining_outcome_check
    check (outcome in ('published', 'promoted', 'held', 'rejected', 'unchanged', 'failed', 'missed'));
comment on column retraining.outcome is 'promoted; published without being promoted; held, because somebody has chosen what is served; failed. Servers of the version before write published for promoted.';
comment on column retraining.detail is 'Why it was not promoted.';

-- Down Migration

comment on column retraining.detail is 'Why it failed.';
comment on column retraining.outcome is 'published or failed.';
update retraining set outcome = case outcome when 'promoted' then 'published' else 'failed' end
where outcome not in ('published', 'failed');
alter table retraining
  drop constraint retraining_outcome_check,
  add constraint retraining_outcome_check check (outcome in ('published', 'failed'));
alter table ml_pipeline_promotion drop column action;
comment on column ml_pipeline.artefact is 'The ONNX model, whole: every server can load it from here.';
alter table ml_pipeline
  drop column data_file,
  drop column training_rows;
