-- Up Migration

-- Made while standard_conforming_strings was off, the check of 0001 has lost its backslashes, and nothing passes it.
do $$
begin
  if exists (
    select from pg_constraint
    where conrelid = 'ml_pipeline'::regclass and conname = 'ml_pipeline_pipeline_version_check'
      and pg_get_constraintdef(oid) !~ '[[]0-9]' and strpos(pg_get_constraintdef(oid), chr(92) || 'd') = 0
  ) then
    alter table ml_pipeline drop constraint ml_pipeline_pipeline_version_check;
    alter table ml_pipeline add constraint ml_pipeline_pipeline_version_check
      check (pipeline_version ~ '^[0-9]{4}_[0-9]{2}_[0-9]{2}__[0-9]{2}_[0-9]{2}_[0-9]{2}$') not valid;
  end if;
end $$;

-- Rows of months that are further away than two years are those of a clock that is off: they stay in the default.
create function predictions_months_due(months_ahead integer) returns setof date language plpgsql stable
set lock_timeout = '2s' as $$
declare
  this_month constant timestamp := date_trunc('month', now() at time zone 'UTC');
  catch_all constant regclass :=
    (select nullif(partdefid, 0)::regclass from pg_partitioned_table where partrelid = 'predictions'::regclass);
begin
  -- Rows of the default are looked at once, whatever their number.
  return query execute format(
    $query$
      with due as (
        select month from generate_series($1, $1 + make_interval(months => $2), interval '1 month') as month
        union
        select date_trunc('month', created_at at time zone 'UTC') from %s
        where created_at >= ($1 - interval '24 months') at time zone 'UTC'
          and created_at < ($1 + make_interval(months => $2 + 1)) at time zone 'UTC'
      )
      select month::date from due
      where to_regclass(format('%%I.%%I', current_schema(), to_char(month, '"predictions_"YYYY_MM'))) is null
      order by month < $1, month
    $query$,
    coalesce(catch_all::text, '(select null::timestamptz as created_at where false) as nothing')
  ) using this_month, months_ahead;
end $$;
comment on function predictions_months_due is 'The months that need a partition of `predictions` and have none: this one, the given number to come, and those of the last two years with rows in the default.';

create function ensure_predictions_month(month date) returns bigint language plpgsql
set lock_timeout = '2s' as $$
declare
  home constant text := current_schema();
  name constant text := to_char(month, '"predictions_"YYYY_MM');
  starts constant timestamptz := date_trunc('month', month::timestamp) at time zone 'UTC';
  ends constant timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC';
  catch_all constant regclass :=
    (select nullif(partdefid, 0)::regclass from pg_partitioned_table where partrelid = 'predictions'::regclass);
  most_at_once constant integer := 100000;
  moved bigint := 0;
begin
  if not pg_try_advisory_xact_lock(hashtext(home || '.ensure_predictions_month')) then
    return null;
  end if;
  -- A month that someone has detached, to archive it, is not made again.
  if to_regclass(format('%I.%I', home, name)) is not null then
    return 0;
  end if;
  -- Whoever writes to the default waits for the rows to move. So a month that is still being written waits with many of
  -- them until it is over.
  if catch_all is not null and ends > now() then
    execute format(
      'select count(*) from (select from %s where created_at >= $1 and created_at < $2 limit $3) as found', catch_all
    ) into moved using starts, ends, most_at_once + 1;
    if moved > most_at_once then
      return 0;
    end if;
  end if;
  -- Made apart and attached: unlike `create table ... partition of` that waits for no reader of `predictions`, nor any
  -- writer for it. Only who uses the default partition is in the way.
  execute format('create table %I.%I (like predictions including all)', home, name);
  if catch_all is not null then
    execute format('lock table %s in access exclusive mode', catch_all);
    execute format(
      'with moved as (delete from %s where created_at >= $1 and created_at < $2 returning *)
       insert into %I.%I select * from moved', catch_all, home, name) using starts, ends;
    get diagnostics moved = row_count;
  end if;
  execute format('alter table predictions attach partition %I.%I for values from (%L) to (%L)', home, name, starts, ends);
  return moved;
end $$;
comment on function ensure_predictions_month is 'Creates the partition of a month where missing, with the rows of the month that the default holds, and returns their number; null when another session is at it. Waits for no lock longer than 2 s. A month that is not over and has more than 100,000 rows there is left until it is.';

-- Servers of the version before call it.
create or replace function ensure_predictions_partitions(months_ahead integer) returns void language sql as $$
  select ensure_predictions_month(month) from predictions_months_due(months_ahead) as month;
$$;
comment on function ensure_predictions_partitions is 'Creates the partitions of the months that are due, in one transaction.';

-- Down Migration

create or replace function ensure_predictions_partitions(months_ahead integer) returns void language plpgsql as $$
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
drop function ensure_predictions_month;
drop function predictions_months_due;
