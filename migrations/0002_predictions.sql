-- Up Migration

-- One partition a month: an old month is dropped in no time, and an insert touches only the small index of its month.
create table predictions (
  id               uuid not null,
  crim             double precision not null,
  zn               double precision not null,
  indus            double precision not null,
  chas             bigint not null,
  nox              double precision not null,
  rm               double precision not null,
  age              double precision not null,
  dis              double precision not null,
  rad              bigint not null,
  tax              double precision not null,
  ptratio          double precision not null,
  b                double precision not null,
  lstat            double precision not null,
  prediction       double precision not null,
  pipeline_version text not null,
  created_at       timestamptz not null,
  primary key (id, created_at)
) partition by range (created_at);

comment on table predictions is 'Every answered prediction, once. Partitioned by month of created_at (UTC).';
comment on column predictions.id is 'prediction_id of the answer, a UUID version 7; its first 48 bits are created_at in milliseconds.';
comment on column predictions.crim is 'Crime rate per capita by town.';
comment on column predictions.zn is 'Residential land zoned for lots over 25,000 sq ft, %.';
comment on column predictions.indus is 'Non-retail business acres per town, %.';
comment on column predictions.chas is '1 when the tract bounds the Charles River, else 0.';
comment on column predictions.nox is 'Nitric oxides concentration, parts per 10 million.';
comment on column predictions.rm is 'Rooms per dwelling, average.';
comment on column predictions.age is 'Owner-occupied units built before 1940, %.';
comment on column predictions.dis is 'Weighted distance to five employment centres.';
comment on column predictions.rad is 'Index of accessibility to radial highways.';
comment on column predictions.tax is 'Property tax rate, USD per 10,000 USD.';
comment on column predictions.ptratio is 'Pupils per teacher by town.';
comment on column predictions.b is '1000 (Bk - 0.63)^2, Bk the share of Black residents.';
comment on column predictions.lstat is 'Lower-status population, %.';
comment on column predictions.prediction is 'The answer: median value of owner-occupied homes, 1000 USD.';
comment on column predictions.pipeline_version is 'The version that answered. No foreign key: a prediction is kept whatever happens to its version.';
comment on column predictions.created_at is 'When the service answered, by its own clock, to the millisecond.';

-- Rows arrive in the order of time, which is all a block range index needs.
create index predictions_created_at on predictions using brin (created_at);

-- Catches rows for which no month exists, such as those of a server whose clock is years off.
create table predictions_default partition of predictions default;

create function ensure_predictions_partitions(months_ahead integer) returns void language plpgsql as $$
declare
  month timestamp;
begin
  -- Servers start together; the second waits here and then finds the partitions.
  perform pg_advisory_xact_lock(hashtext('ensure_predictions_partitions'));
  for month in
    select generate_series(start, start + make_interval(months => months_ahead), interval '1 month')
    from date_trunc('month', now() at time zone 'UTC') as start
  loop
    if to_regclass('predictions_' || to_char(month, 'YYYY_MM')) is null then
      begin
        execute format(
          'create table %I partition of predictions for values from (%L) to (%L)',
          'predictions_' || to_char(month, 'YYYY_MM'),
          month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
      exception when check_violation then
        raise warning 'predictions_default holds rows of %, so the month stays there', to_char(month, 'YYYY-MM');
      end;
    end if;
  end loop;
end $$;
comment on function ensure_predictions_partitions is 'Creates the partitions of this month and of the given number of months to come, where missing.';

select ensure_predictions_partitions(3);

-- Down Migration

drop function ensure_predictions_partitions;
drop table predictions;
