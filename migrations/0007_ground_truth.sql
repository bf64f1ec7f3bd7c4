-- Up Migration

create table ground_truth (
  prediction_id    uuid not null,
  predicted_at     timestamptz not null,
  actual           double precision,
  actual_label     text,
  observed_at      timestamptz not null,
  received_at      timestamptz not null,
  revision         integer not null,
  prediction       double precision,
  prediction_label text,
  pipeline_version text,
  -- The time first: it serves the look-up of a label and the range of a day.
  primary key (predicted_at, prediction_id)
) partition by range (predicted_at);
comment on table ground_truth is 'What became of predictions: the last truth that was observed for each. Partitioned by month of predicted_at (UTC), as predictions are.';
comment on column ground_truth.prediction_id is 'The id of the prediction.';
comment on column ground_truth.predicted_at is 'The time in the id, which is created_at of the prediction: with it a look-up touches one partition.';
comment on column ground_truth.actual is 'What was true, in the unit of the prediction; null where it was withdrawn.';
comment on column ground_truth.actual_label is 'What was true, where a pipeline predicts classes; null otherwise.';
comment on column ground_truth.observed_at is 'When the truth was observed: of two truths the later one counts, whatever their order of arrival.';
comment on column ground_truth.received_at is 'When it arrived, by the clock of the service.';
comment on column ground_truth.revision is '1 for the first truth, and 1 more for each other one.';
comment on column ground_truth.prediction is 'Copied from the prediction when both are there.';
comment on column ground_truth.prediction_label is 'Copied likewise, where a pipeline predicts classes; null otherwise.';
comment on column ground_truth.pipeline_version is 'Copied likewise; null while the prediction has not arrived from the spool.';

create index ground_truth_pending on ground_truth (received_at) where pipeline_version is null;

create table ground_truth_revision (
  prediction_id uuid not null,
  predicted_at  timestamptz not null,
  revision      integer not null,
  actual        double precision,
  actual_label  text,
  observed_at   timestamptz not null,
  replaced_at   timestamptz not null,
  primary key (predicted_at, prediction_id, revision)
) partition by range (predicted_at);
comment on table ground_truth_revision is 'Truths that were replaced by later ones; rows are only added, and go with their month.';
comment on column ground_truth_revision.prediction_id is 'The id of the prediction.';
comment on column ground_truth_revision.predicted_at is 'The time in the id.';
comment on column ground_truth_revision.revision is 'Which truth of the prediction it was, from 1.';
comment on column ground_truth_revision.actual is 'What was said to be true; null where it was withdrawn.';
comment on column ground_truth_revision.actual_label is 'What was said to be true, where a pipeline predicts classes; null otherwise.';
comment on column ground_truth_revision.observed_at is 'When that was observed.';
comment on column ground_truth_revision.replaced_at is 'When the next truth arrived, by the clock of the service.';

-- For what has no month, such as predictions of a server whose clock is years off.
create table ground_truth_default partition of ground_truth default;
create table ground_truth_revision_default partition of ground_truth_revision default;

-- What is said below of months is said of any table that is partitioned by months of one of its columns. The functions of
-- 0004 stay for servers of the version before; these are handed the time.
create function partition_months_due(parent text, time_column text, months_ahead integer, at timestamptz)
returns setof date language plpgsql stable set lock_timeout = '2s' as $$
declare
  this_month constant timestamp := date_trunc('month', at at time zone 'UTC');
  catch_all constant regclass :=
    (select nullif(partdefid, 0)::regclass from pg_partitioned_table where partrelid = to_regclass(quote_ident(parent)));
begin
  -- Rows of the default are looked at once, whatever their number.
  return query execute format(
    $query$
      with due as (
        select month from generate_series($1, $1 + make_interval(months => $2), interval '1 month') as month
        union
        select date_trunc('month', %1$I at time zone 'UTC') from %2$s
        where %1$I >= ($1 - interval '24 months') at time zone 'UTC'
          and %1$I < ($1 + make_interval(months => $2 + 1)) at time zone 'UTC'
      )
      select month::date from due
      where to_regclass(format('%%I.%%I', current_schema(), $3 || to_char(month, '"_"YYYY_MM'))) is null
      order by month < $1, month
    $query$,
    time_column, coalesce(catch_all::text, format('(select null::timestamptz as %I where false) as nothing', time_column))
  ) using this_month, months_ahead, parent;
end $$;
comment on function partition_months_due is 'The months that need a partition of a table and have none: this one, the given number to come, and those of the last two years with rows in the default.';

create function ensure_month_partition(parent text, time_column text, month date, at timestamptz)
returns bigint language plpgsql set lock_timeout = '2s' as $$
declare
  home constant text := current_schema();
  name constant text := parent || to_char(month, '"_"YYYY_MM');
  starts constant timestamptz := date_trunc('month', month::timestamp) at time zone 'UTC';
  ends constant timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC';
  catch_all constant regclass :=
    (select nullif(partdefid, 0)::regclass from pg_partitioned_table where partrelid = to_regclass(quote_ident(parent)));
  most_at_once constant integer := 100000;
  moved bigint := 0;
begin
  -- Servers of the version before make months under the lock of this name.
  if not pg_try_advisory_xact_lock(hashtext(home || '.ensure_predictions_month')) then
    return null;
  end if;
  -- A month that someone has detached, to archive it, is not made again.
  if to_regclass(format('%I.%I', home, name)) is not null then
    return 0;
  end if;
  -- Whoever writes to the default waits for the rows to move. So a month that is still being written waits with many of
  -- them until it is over.
  if catch_all is not null and ends > at then
    execute format(
      'select count(*) from (select from %1$s where %2$I >= $1 and %2$I < $2 limit $3) as found', catch_all, time_column
    ) into moved using starts, ends, most_at_once + 1;
    if moved > most_at_once then
      return 0;
    end if;
  end if;
  -- Made apart and attached: unlike `create table ... partition of` that waits for no reader of the table, nor any
  -- writer for it. Only who uses the default partition is in the way.
  execute format('create table %I.%I (like %I including all)', home, name, parent);
  if catch_all is not null then
    execute format('lock table %s in access exclusive mode', catch_all);
    execute format(
      'with moved as (delete from %1$s where %2$I >= $1 and %2$I < $2 returning *)
       insert into %3$I.%4$I select * from moved', catch_all, time_column, home, name) using starts, ends;
    get diagnostics moved = row_count;
  end if;
  execute format('alter table %I attach partition %I.%I for values from (%L) to (%L)', parent, home, name, starts, ends);
  return moved;
end $$;
comment on function ensure_month_partition is 'Creates the partition of a month of a table where missing, with the rows of the month that the default holds, and returns their number; null when another session is at it. Waits for no lock longer than 2 s. A month that is not over and has more than 100,000 rows there is left until it is.';

select ensure_month_partition(parent, 'predicted_at', month, now())
from unnest(array['ground_truth', 'ground_truth_revision']) as parent,
  lateral partition_months_due(parent, 'predicted_at', 3, now()) as month;

-- Down Migration

drop function ensure_month_partition;
drop function partition_months_due;
drop table ground_truth_revision;
drop table ground_truth;
