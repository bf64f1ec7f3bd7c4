/**
 * What `ok` means. Each process states facts about itself; here they become one judgement, of all processes of a service.
 *
 *     unavailable   a caller of /predict gets a 503: no pipeline is loaded, or predictions are refused
 *     degraded      callers are answered, but somebody has to look: a reason says at what
 *     ok            neither
 *
 * Where processes differ the worst decides: half of the callers refused is not ok. Records set aside and alarms about the
 * quality of predictions change nothing here, because restarting or replacing an instance does not help against them.
 */

/** What one process knows of its prediction log. */
export interface PredictionLogFacts {
  mode: 'spool' | 'sync' | 'off';
  /** Why predictions are refused, as neither the spool nor Postgres takes them; null while they are taken. */
  refusing: string | null;
  /** How often the relay has failed since it last moved something. */
  failuresInARow: number;
  /** Answered predictions that are not in Postgres yet. */
  rows: number;
  /** Since the oldest of them was answered; null without any. */
  oldestAgeSeconds: number | null;
  /** All spools under DATA_DIR, those of other processes too. */
  bytes: number;
  limitBytes: number;
  /** Records set aside since the start of the process. */
  deadLetters: number;
  /** What of the spools of dead processes cannot be taken over, and why; null when all of it can. */
  obstacle: string | null;
  /** Why records cannot be moved, or the spool be written, now; null while both work. */
  lastError: string | null;
}

export interface HealthFacts {
  /** Why the database cannot be reached and written; null when it can. */
  databaseFault: string | null;
  servedVersion: string | null;
  /** The newest promotion, when it cannot be served. */
  refusedVersion: { version: string; reason: string } | null;
  predictionLog: PredictionLogFacts;
  /** Pending and firing ones, as this process has read them. */
  alarms: Alarm[];
}

export interface Alarm {
  subject: string;
  state: 'pending' | 'firing';
  since: string;
}

/** The facts of all processes of a service, the one that was asked first, and what kept others from answering. */
export interface Gathered<Facts> {
  facts: [Facts, ...Facts[]];
  /** Sentences; empty when every process has answered. */
  silences: string[];
}

export interface Health {
  status: 'ok' | 'degraded' | 'unavailable';
  database: 'ok' | 'unavailable';
  model: 'ok' | 'unavailable';
  predictionLog: 'ok' | 'behind' | 'refusing' | 'off';
  servedVersion: string | null;
  refusedVersion: HealthFacts['refusedVersion'];
  /** Why it is not ok, and what to do about it; empty when it is. */
  reasons: string[];
  backlog: Backlog;
  alarms: Alarm[];
}

/** null: not known. */
type Backlog = {
  [Fact in 'rows' | 'oldestAgeSeconds' | 'bytes' | 'limitBytes' | 'deadLetters' | 'lastError']:
    | PredictionLogFacts[Fact]
    | null;
};

/** Records that wait longer show that Postgres takes none, or fewer than come. */
const BEHIND_AFTER_SECONDS = 60;
/** One failure may be a connection that was closed while it was idle. */
const BEHIND_AFTER_FAILURES = 2;

export function describeHealth({ facts, silences }: Gathered<HealthFacts>): Health {
  const [asked] = facts;
  const { mode } = asked.predictionLog;
  const backlog = backlogOf(facts.map(({ predictionLog }) => predictionLog));
  const hasModel = facts.every(({ servedVersion }) => servedVersion !== null);
  const databaseFault = firstOf(facts, (of) => of.databaseFault);
  const refusing = firstOf(facts, (of) => of.predictionLog.refusing);
  const refusedVersion = firstOf(facts, (of) => of.refusedVersion);
  const obstacle = firstOf(facts, (of) => of.predictionLog.obstacle);
  const isBehind = facts.some(({ predictionLog }) => fallsBehind(predictionLog));

  const fatal = [...(hasModel ? [] : [NO_PIPELINE]), ...(refusing === null ? [] : [refusalReason(mode, refusing)])];
  const lesser = [
    ...(databaseFault === null
      ? []
      : [`The database cannot be used: ${sentence(databaseFault)} ${bringItBack(mode, refusing !== null)}`]),
    ...(isBehind ? behindReasons(backlog, obstacle) : []),
    ...(refusedVersion === null ? [] : [refusedVersionReason(refusedVersion)]),
    ...silences,
  ];
  return {
    status: fatal.length > 0 ? 'unavailable' : lesser.length > 0 ? 'degraded' : 'ok',
    database: databaseFault === null ? 'ok' : 'unavailable',
    model: hasModel ? 'ok' : 'unavailable',
    predictionLog: mode === 'off' ? 'off' : refusing !== null ? 'refusing' : isBehind ? 'behind' : 'ok',
    servedVersion: asked.servedVersion,
    refusedVersion,
    reasons: [...fatal, ...lesser],
    backlog,
    alarms: asked.alarms,
  };
}

/** Of a service none of whose workers answers the primary; what only they know is not known. */
export function describeSilence({ mode, databaseFault }: SilentService): Health {
  return {
    status: 'unavailable',
    database: databaseFault === null ? 'ok' : 'unavailable',
    model: 'unavailable',
    predictionLog: mode === 'off' ? 'off' : 'refusing',
    servedVersion: null,
    refusedVersion: null,
    reasons: ['No worker answers: the log says why they end or do not start. One that is held up has to be ended.'],
    backlog: { rows: null, oldestAgeSeconds: null, bytes: null, limitBytes: null, deadLetters: null, lastError: null },
    alarms: [],
  };
}

interface SilentService {
  mode: PredictionLogFacts['mode'];
  databaseFault: string | null;
}

/** The age of what cannot be taken over is unknown; it was answered before this process started. */
function fallsBehind({ oldestAgeSeconds, failuresInARow, obstacle }: PredictionLogFacts): boolean {
  const waitsLong = (oldestAgeSeconds ?? 0) > BEHIND_AFTER_SECONDS;
  return waitsLong || failuresInARow >= BEHIND_AFTER_FAILURES || obstacle !== null;
}

function backlogOf(logs: PredictionLogFacts[]): Backlog {
  const sum = (pick: (of: PredictionLogFacts) => number) => logs.reduce((total, of) => total + pick(of), 0);
  const ages = logs.flatMap(({ oldestAgeSeconds }) => oldestAgeSeconds ?? []);
  return {
    rows: sum(({ rows }) => rows),
    oldestAgeSeconds: ages.length > 0 ? Math.max(...ages) : null,
    // Each process sees the whole directory.
    bytes: Math.max(...logs.map(({ bytes }) => bytes)),
    limitBytes: Math.max(...logs.map(({ limitBytes }) => limitBytes)),
    deadLetters: sum(({ deadLetters }) => deadLetters),
    lastError: firstOf(logs, ({ lastError }) => lastError),
  };
}

function firstOf<Facts, Value>(facts: readonly Facts[], pick: (of: Facts) => Value | null): Value | null {
  return facts.map(pick).find((value) => value !== null) ?? null;
}

const NO_PIPELINE = 'No pipeline is loaded. Publish one with npm run train; if the database is away, bring it back.';

/** By the promise of PREDICTION_LOG. */
const BRING_IT_BACK = {
  spool: 'Bring it back; answered predictions wait in the spool until then.',
  sync: 'Bring it back; predictions are refused until then.',
  off: 'Bring it back; no new version is seen until then.',
};

function bringItBack(mode: PredictionLogFacts['mode'], refused: boolean): string {
  return mode === 'spool' && refused ? 'Bring it back.' : BRING_IT_BACK[mode];
}

function refusalReason(mode: PredictionLogFacts['mode'], why: string): string {
  const whatToDo = mode === 'sync' ? 'Mend Postgres' : 'Mend that, or Postgres';
  return `Predictions are refused, because they cannot be stored: ${sentence(why)} ${whatToDo}; only a changed setting needs a restart.`;
}

function behindReasons(backlog: Backlog, obstacle: string | null): string[] {
  const cannot = `A part of the spool that an earlier process has left cannot be taken over: ${sentence(obstacle ?? '')}`;
  return [
    ...(obstacle === null ? [] : [`${cannot} Make it readable for the service, or move it away; it is tried again.`]),
    ...(backlog.rows === 0 && obstacle !== null ? [] : [behindReason(backlog)]),
  ];
}

function behindReason({ rows, oldestAgeSeconds, lastError }: Backlog): string {
  const waiting = `${rows} answered predictions wait to be moved to Postgres`;
  const since = oldestAgeSeconds === null ? '' : `, the oldest for ${Math.round(oldestAgeSeconds)} s`;
  if (lastError === null) return `${waiting}${since}. Postgres takes fewer than come: look at what slows it down.`;
  return `${waiting}${since}: ${sentence(lastError)} Mend that; they are moved by themselves when Postgres takes them.`;
}

function refusedVersionReason({ version, reason }: { version: string; reason: string }): string {
  return `Version ${version} was promoted and cannot be served: ${sentence(reason)} Publish a good one, or promote an old one.`;
}

/** A statement to run ends in its semicolon. */
function sentence(text: string): string {
  return /[.!?;]$/.test(text) ? text : `${text}.`;
}
