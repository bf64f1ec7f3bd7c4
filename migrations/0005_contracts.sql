-- Up Migration

alter table ml_pipeline add column declaration jsonb;
comment on column ml_pipeline.declaration is 'What its rows hold, as a features file; null for versions of the data set that ships.';

-- Rows of other contracts leave these empty; a publication adds the columns of its own. Some may be gone by now.
do $$
declare
  name text;
begin
  for name in
    select attname from pg_attribute
    where attrelid = 'predictions'::regclass and attnotnull and attname = any
      ('{crim,zn,indus,chas,nox,rm,age,dis,rad,tax,ptratio,b,lstat}')
  loop
    execute format('alter table predictions alter column %I drop not null', name);
  end loop;
end $$;
comment on table predictions is 'Every answered prediction, once. The columns of features that its version does not have are null. Partitioned by month of created_at (UTC).';

-- Down Migration

comment on table predictions is 'Every answered prediction, once. Partitioned by month of created_at (UTC).';
alter table predictions
  alter column crim set not null,
  alter column zn set not null,
  alter column indus set not null,
  alter column chas set not null,
  alter column nox set not null,
  alter column rm set not null,
  alter column age set not null,
  alter column dis set not null,
  alter column rad set not null,
  alter column tax set not null,
  alter column ptratio set not null,
  alter column b set not null,
  alter column lstat set not null;
alter table ml_pipeline drop column declaration;
