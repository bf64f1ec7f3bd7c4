/**
 * Challengers in the shadow: versions that are held, judged again as more predictions have their truth, by running them on the
 * stored rows beside what is served. A pipeline is deterministic and the stored row is its whole input, so that nothing has to be
 * asked of it beside requests (decision 0017).
 */
import type { Contract } from '../contract/contract.ts';
import { type Pool, type Queryable, transaction } from '../database/pool.ts';
import { type ErrorCode, RidgelineError } from '../errors.ts';
import { testOnHoldout, withoutTest } from '../gate/holdout-test.ts';
import { describeGate } from '../gate/sentence.ts';
import { rowsOfNextLook } from '../gate/verdict.ts';
import { countLabelsAfter } from '../ground-truth/newest-labels.ts';
import { dueDivergences, measureDivergence } from '../monitoring/divergence.ts';
import { promoteProven } from '../publishing/promote.ts';
import { checkSha256 } from '../registry/artefacts.ts';
import { type Champion, readChampion, trainedThroughOfServed } from '../registry/champion.ts';
import {
  type GateEntry,
  type HeldVersion,
  heldAmong,
  type NewGateEntry,
  recordGate,
} from '../registry/gate-decisions.ts';
import { readPipeline } from '../registry/pipeline-versions.ts';
import { holdOnSchedules, newestPromotions, servedVersion } from '../registry/promotions.ts';
import { contractOfStored } from '../registry/stored-declaration.ts';
import { challengers } from '../registry/version-catalogue.ts';
import { holdoutOf, type LabelledRow, MOST_LABELLED, readLabelledRows } from './labelled-rows.ts';
import { newestOfEachVector } from './training-set.ts';

export interface ShadowContext {
  pool: Pool;
  /** Of versions without a declaration of their own. */
  shipped: Contract;
  now: Date;
  /** Whether what is proven better takes over. Without it nothing is judged. */
  promotes: boolean;
}

/** In a look: the newest. */
const MOST_ROWS = 10_000;
/** Such errors stay until a person decides; after others the look comes again. */
const REFUSALS: readonly ErrorCode[] = ['breaking_change', 'version_rejected', 'version_emptied'];

/** Whether there is anything to do: cheap, and asked every minute. */
export async function isShadowDue({ pool, now, promotes }: Omit<ShadowContext, 'shipped'>): Promise<boolean> {
  const all = await challengers(pool, now);
  if (all.length === 0 || (await servedVersion(pool)) === undefined) return false;
  return (await dueDivergences(pool, all, now)).length > 0 || (promotes && (await dueLooks(pool, all)).length > 0);
}

interface DueLook extends HeldVersion {
  rowsNeeded: number;
}

/** While a person has chosen what is served no look is spent: it would promote nothing. */
async function dueLooks(client: Queryable, versions: readonly string[]): Promise<DueLook[]> {
  const held = await heldAmong(client, versions);
  if (held.length === 0 || (await holdOnSchedules(client))) return [];
  const throughOfServed = await trainedThroughOfServed(client);
  const due: DueLook[] = [];
  for (const version of held) {
    const rowsNeeded = rowsOfNextLook(version.rowsJudged);
    if (rowsNeeded === undefined) continue;
    const after = later(version.trainedThrough, throughOfServed);
    if ((await countLabelsAfter(client, after, rowsNeeded)) === rowsNeeded) due.push({ ...version, rowsNeeded });
  }
  return due;
}

const later = (a: Date | null, b: Date | null) => (a && b ? (a > b ? a : b) : (a ?? b));

/**
 * Judges whatever is due, and measures divergences that are. Promotes what is proven better, as it is. A challenger that cannot be
 * run holds up no other; throws its error at the end.
 */
export async function judgeChallengers(context: ShadowContext): Promise<GateEntry[]> {
  const { pool, shipped, now, promotes } = context;
  const judged: GateEntry[] = [];
  const failures: unknown[] = [];
  for (const look of promotes ? await dueLooks(pool, await challengers(pool, now)) : []) {
    try {
      const gate = await judge(look, context);
      if (gate) judged.push(gate);
    } catch (error) {
      failures.push(error);
    }
  }
  const champion = await servedVersion(pool);
  const due = champion === undefined ? [] : await dueDivergences(pool, await challengers(pool, now), now);
  for (const version of due) await measureDivergence(pool, version, { champion: champion!, shipped, now });
  if (failures.length > 0) throw failures[0];
  return judged;
}

/** Undefined where the rows turn out to be too few, as of repeated ones one counts, or where somebody has chosen meanwhile. */
async function judge(look: DueLook, context: ShadowContext): Promise<GateEntry | undefined> {
  const { pool, shipped, now } = context;
  const [newest] = await newestPromotions(pool, 1);
  const champion = (await readChampion(pool, shipped))!;
  const entry = await test(look, champion, context);
  if (!entry) return undefined;
  const { pipelineVersion } = look;
  if (entry.decision !== 'promoted')
    return await transaction(pool, (client) => recordGate(client, pipelineVersion, entry));
  try {
    return await promoteProven(pipelineVersion, {
      ...{ entry, promotionId: newest?.promotionId, shipped, now, promotedBy: 'schedule', reason: describeGate(entry) },
      transaction: (work) => transaction(pool, work),
    });
  } catch (error) {
    if (!(error instanceof RidgelineError) || !REFUSALS.includes(error.code)) throw error;
    const refused: NewGateEntry = { ...entry, decision: 'held', reason: error.code };
    return await transaction(pool, (client) => recordGate(client, pipelineVersion, refused));
  }
}

/**
 * The rows by which a challenger is judged are new to both: answered after whatever either has learned from, and of vectors that
 * the challenger has not learned from, as callers ask for the same house again and again.
 */
function newToBoth(
  labelled: readonly LabelledRow[],
  { trainedThrough }: HeldVersion,
  champion: Champion,
): readonly LabelledRow[] {
  const after = later(trainedThrough, champion.trainedThrough);
  const learned = labelled.filter(({ predictedAt }) => trainedThrough !== null && predictedAt <= trainedThrough);
  const vectors = new Set(learned.map(({ vector }) => vector));
  return newestOfEachVector(labelled)
    .filter(({ predictedAt, vector }) => (after === null || predictedAt > after) && !vectors.has(vector))
    .slice(0, MOST_ROWS);
}

async function test(
  { rowsNeeded, ...version }: DueLook,
  champion: Champion,
  { pool, shipped, now }: ShadowContext,
): Promise<NewGateEntry | undefined> {
  const pipeline = (await readPipeline(pool, version.pipelineVersion))!;
  checkSha256(pipeline);
  const contract = contractOfStored(pipeline.declaration, shipped);
  const rows = newToBoth(await readLabelledRows(pool, { contract, shipped, limit: MOST_LABELLED }), version, champion);
  if (rows.length < rowsNeeded) return undefined;
  const holdout = holdoutOf(rows, contract);
  const look = version.looks + 1;
  const tested = testOnHoldout(holdout, { champion, challenger: { artefact: pipeline.artefact, contract }, look }) ?? {
    ...{ ...withoutTest(holdout, undefined), look, champion_version: champion.pipelineVersion },
    ...{ decision: 'held' as const, reason: 'not_comparable' },
  };
  return { ...tested, decided_at: now.toISOString(), decided_by: 'schedule', judged_sha256: pipeline.sha256 };
}
