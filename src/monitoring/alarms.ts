/**
 * Alarms that do not flap. What is looked at once an hour is true by chance now and then, and windows of a day or a week hardly
 * differ from one hour to the next: only what has held for six looks is told, and only what has ended for six is over.
 *
 *     ok -> pending -> firing -> ok        back to ok at once where it does not hold while pending
 *
 * The state is in the database, so that a restart tells nothing again.
 */
import type { Queryable } from '../database/pool.ts';

export type AlarmState = 'ok' | 'pending' | 'firing';

export interface Alarm {
  state: AlarmState;
  /** Null where it never was anything but ok. */
  since: Date | null;
}

export interface Look {
  /** Whether what the alarm is about is so now. */
  holds: boolean;
  /** Whether it is clearly over; some hover about their limit. */
  isOver: boolean;
  value: number | null;
  /** For people. */
  detail: object;
}

export interface AlarmRow extends Alarm {
  /** In a row: how often it held while pending, or was over while firing. */
  looks: number;
}

const LOOKS = 6;
const never: AlarmRow = { state: 'ok', since: null, looks: 0 };

/** What the state is after one more look. */
export function afterLook(before: AlarmRow, { holds, isOver }: Look, now: Date): AlarmRow {
  const enter = (state: AlarmState, looks = 0): AlarmRow => ({ state, since: now, looks });
  const looks = before.looks + 1;
  switch (before.state) {
    case 'ok':
      return holds ? enter('pending', 1) : before;
    case 'pending':
      if (!holds) return enter('ok');
      return looks >= LOOKS ? enter('firing') : { ...before, looks };
    case 'firing':
      if (!isOver) return { ...before, looks: 0 };
      return looks >= LOOKS ? enter('ok') : { ...before, looks };
  }
}

/**
 * Keeps what a look has shown; returns the new state where it has begun to fire, or has ceased to. Of looks in one hour the first
 * counts: a pass that was ended in the midst of it is begun again.
 */
export async function recordLook(
  client: Queryable,
  subject: string,
  look: Look,
  now: Date,
): Promise<AlarmState | undefined> {
  const { rows } = await client.query(
    `select state, since, (detail ->> 'looks')::int as looks, detail ->> 'hour' as hour from monitoring_state where subject = $1`,
    [subject],
  );
  const hour = now.toISOString().slice(0, 13);
  if (rows[0]?.hour === hour) return undefined;
  const before = (rows[0] as unknown as AlarmRow | undefined) ?? never;
  const after = afterLook(before, look, now);
  if (after.since !== null) {
    await client.query(
      `insert into monitoring_state (subject, state, since, last_value, detail) values ($1, $2, $3, $4, $5)
       on conflict (subject) do update set state = $2, since = $3, last_value = $4, detail = $5`,
      [subject, after.state, after.since, look.value, { ...look.detail, looks: after.looks, hour }],
    );
  }
  const wasFiring = before.state === 'firing';
  return wasFiring === (after.state === 'firing') ? undefined : after.state;
}

export interface NamedAlarm extends Alarm {
  /** quality:V, coverage:V or drift:V. */
  subject: string;
  detail: Record<string, unknown>;
}

/** All that were ever anything but ok, with their states. */
export async function readAlarms(client: Queryable): Promise<NamedAlarm[]> {
  const { rows } = await client.query(
    `select subject, state, since, coalesce(detail, '{}') as detail from monitoring_state
     where subject ~ '^(quality|coverage|drift):' order by since, subject`,
  );
  return rows as unknown as NamedAlarm[];
}
