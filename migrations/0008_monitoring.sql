-- Up Migration

alter table ml_pipeline
  add column prediction_profile jsonb,
  add column residuals          double precision[],
  add column explanation        jsonb,
  add column trained_through    timestamptz;
comment on column ml_pipeline.feature_profile is 'For each feature: range, mean, standard deviation, deciles, the edges of bins and the counts in them, or categories and counts, in the training data.';
comment on column ml_pipeline.prediction_profile is 'The same of its out-of-fold predictions; null in rows of servers that did not store it.';
comment on column ml_pipeline.residuals is 'Absolute out-of-fold residuals in ascending order, for prediction intervals: all of them up to 10,000, else those of 1,000 evenly spaced ranks. Null in rows of servers that did not store it.';
comment on column ml_pipeline.explanation is 'What each feature adds to a prediction, and the base value to which it is added; null where that is not known exactly.';
comment on column ml_pipeline.trained_through is 'Up to when labelled predictions were learned from; null where none were.';

create table feature_histogram (
  hour             timestamptz not null,
  pipeline_version text not null,
  feature          text not null,
  rows_all         bigint not null,
  rows             integer not null,
  counts           integer[] not null,
  missing          integer not null,
  below            integer not null,
  above            integer not null,
  mean             double precision,
  primary key (hour, pipeline_version, feature)
);
comment on table feature_histogram is 'What the predictions of an hour looked like: for each version and feature, and for the prediction itself, how many values fell into the bins of the training data.';
comment on column feature_histogram.hour is 'The hour (UTC) in which it was predicted.';
comment on column feature_histogram.pipeline_version is 'The version that answered.';
comment on column feature_histogram.feature is 'The name of the feature; empty for the prediction.';
comment on column feature_histogram.rows_all is 'All predictions of the version in the hour.';
comment on column feature_histogram.rows is 'Those that were looked at: all, or a random part of about 20,000.';
comment on column feature_histogram.counts is 'How many fell into each bin; categories in their order, then all others. Nulls are in none.';
comment on column feature_histogram.missing is 'How many were null.';
comment on column feature_histogram.below is 'How many were below the smallest value of the training data.';
comment on column feature_histogram.above is 'How many were above the largest value of the training data.';
comment on column feature_histogram.mean is 'Of the values that are numbers and not null; null without any.';

create table live_quality (
  pipeline_version    text not null,
  day                 date not null,
  labelled            bigint not null,
  mean_error          double precision not null,
  mean_absolute_error double precision not null,
  mean_squared_error  double precision not null,
  var_squared_error   double precision,
  mean_actual         double precision not null,
  syy_actual          double precision not null,
  covered             bigint,
  delay_p50           interval,
  delay_p95           interval,
  bin_labels          bigint[],
  bin_squared_errors  double precision[],
  computed_at         timestamptz not null,
  primary key (pipeline_version, day)
);
comment on table live_quality is 'How good a version was in the field: one row for each day (UTC) of its predictions of which the truth is known, computed anew whenever a truth of the day changes.';
comment on column live_quality.pipeline_version is 'The version that answered.';
comment on column live_quality.day is 'The day of the predictions, not of their truths.';
comment on column live_quality.labelled is 'Predictions whose truth is known.';
comment on column live_quality.mean_error is 'Mean of prediction - actual: the bias.';
comment on column live_quality.mean_absolute_error is 'Mean of |prediction - actual|.';
comment on column live_quality.mean_squared_error is 'Mean of (prediction - actual)^2.';
comment on column live_quality.var_squared_error is 'Sample variance of (prediction - actual)^2; null of one row.';
comment on column live_quality.mean_actual is 'Mean of the truths.';
comment on column live_quality.syy_actual is 'Sum of (actual - mean)^2.';
comment on column live_quality.covered is 'How many truths lay in the interval of level 0.9 that was in force; null where there was none.';
comment on column live_quality.delay_p50 is 'From the prediction to the arrival of its truth: the median.';
comment on column live_quality.delay_p95 is 'The same, 95 %.';
comment on column live_quality.bin_labels is 'How many of the labelled predictions fell into each bin of the prediction profile; null without a profile.';
comment on column live_quality.bin_squared_errors is 'Sum of (prediction - actual)^2 in each of these bins.';
comment on column live_quality.computed_at is 'When, by the clock of the service.';

-- A queue: no key, no conflict, no lost update.
create table live_quality_dirty (
  pipeline_version text not null,
  day              date not null
);
comment on table live_quality_dirty is 'Cells of live_quality that have to be computed anew, one row for each change.';
comment on column live_quality_dirty.pipeline_version is 'As in live_quality.';
comment on column live_quality_dirty.day is 'As in live_quality.';

create table monitoring_state (
  subject    text primary key,
  state      text not null,
  since      timestamptz not null,
  last_value double precision,
  detail     jsonb
);
comment on table monitoring_state is 'What monitoring remembers from one look to the next: the state of each alarm, and when its jobs were done last.';
comment on column monitoring_state.subject is 'quality:V, coverage:V or drift:V of a version, or job:NAME.';
comment on column monitoring_state.state is 'ok, pending or firing for an alarm.';
comment on column monitoring_state.since is 'Since when it has been in that state.';
comment on column monitoring_state.last_value is 'What was measured last.';
comment on column monitoring_state.detail is 'What else is needed at the next look.';

create table interval_quantile (
  pipeline_version text not null,
  effective_from   timestamptz not null,
  halfwidths       double precision[] not null check (cardinality(halfwidths) = 50),
  n                integer not null,
  primary key (pipeline_version, effective_from)
);
comment on table interval_quantile is 'Half-widths of prediction intervals as the newest truths of a version have them; a row whenever they change.';
comment on column interval_quantile.pipeline_version is 'The version whose errors these are.';
comment on column interval_quantile.effective_from is 'From when on they are used.';
comment on column interval_quantile.halfwidths is 'For the levels 0.50 to 0.99 in steps of 0.01; infinity where there are too few errors.';
comment on column interval_quantile.n is 'How many errors they were taken from.';

-- For people: one row for each version and day of its predictions.
create view pipeline_quality as
with counted as (
  select pipeline_version, (hour at time zone 'UTC')::date as day, sum(rows_all)::bigint as predictions
  from feature_histogram where feature = '' group by 1, 2
), cell as (
  select live_quality.*, 1.959963984540054 * sqrt(var_squared_error) / sqrt(labelled) as half_width from live_quality
)
select pipeline_version, day, coalesce(labelled, 0) as labels, predictions,
  least(1, labelled / nullif(predictions, 0)::double precision) as label_share,
  sqrt(mean_squared_error) as rmse,
  sqrt(greatest(0, mean_squared_error - half_width)) as rmse_lower,
  sqrt(mean_squared_error + half_width) as rmse_upper,
  mean_absolute_error as mae, mean_error as bias,
  case when syy_actual > 0 then 1 - labelled * mean_squared_error / syy_actual
    when labelled > 0 then (mean_squared_error = 0)::integer end as r2,
  covered / labelled::double precision as coverage,
  (ml_pipeline.metrics ->> 'cv_rmse')::double precision as cv_rmse,
  delay_p50 as label_delay_p50, delay_p95 as label_delay_p95, computed_at
from cell full join counted using (pipeline_version, day) left join ml_pipeline using (pipeline_version);
comment on view pipeline_quality is 'How good each version was on each day (UTC) of its predictions, by the truths that have come; select * from pipeline_quality order by day desc.';
comment on column pipeline_quality.labels is 'Predictions whose truth is known.';
comment on column pipeline_quality.predictions is 'All of them, of hours that have been counted.';
comment on column pipeline_quality.label_share is 'Labels in predictions; a small part may not be like the others.';
comment on column pipeline_quality.rmse is 'Root of the mean squared error, in the unit of the target.';
comment on column pipeline_quality.rmse_lower is 'With rmse_upper an interval in which it is in 95 of 100 cases.';
comment on column pipeline_quality.rmse_upper is 'As rmse_lower.';
comment on column pipeline_quality.mae is 'Mean absolute error.';
comment on column pipeline_quality.bias is 'Mean of prediction - actual.';
comment on column pipeline_quality.r2 is '1 is perfect; 0 as good as always answering the mean.';
comment on column pipeline_quality.coverage is 'Share of truths inside of their interval of level 0.9.';
comment on column pipeline_quality.cv_rmse is 'Of the cross-validation when the version was trained: what to hold rmse against.';

-- Down Migration

drop view pipeline_quality;
drop table interval_quantile;
drop table monitoring_state;
drop table live_quality_dirty;
drop table live_quality;
drop table feature_histogram;
alter table ml_pipeline
  drop column trained_through,
  drop column explanation,
  drop column residuals,
  drop column prediction_profile;
comment on column ml_pipeline.feature_profile is 'For each feature: range, mean and deciles, or categories and counts, in the training data.';
