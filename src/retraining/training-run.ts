/**
 * A training from its request to its publication, whoever asks for it: the command, the schedule by way of the command, the demo.
 *
 *     plan (rows, champion) -> fit, and the gate's test -> publish, in one transaction with the test
 */
import type { Contract } from '../contract/contract.ts';
import { type Pool, transaction } from '../database/pool.ts';
import { RidgelineError } from '../errors.ts';
import { describeGate } from '../gate/sentence.ts';
import { type Published, publish } from '../publishing/publish.ts';
import { type NewGateEntry, servedOrHeldWith } from '../registry/gate-decisions.ts';
import type { NewPipeline } from '../registry/pipeline-versions.ts';
import { describeHold } from '../registry/promotions.ts';
import { fitAndJudge, type JudgedFit } from './judged-fit.ts';
import { planTraining, type ShippedRows, type TrainingPlan, type TrainingRequest } from './training-plan.ts';

export interface TrainingContext {
  /** Runs its argument with a pool; none is open while the fit goes on. */
  withPool: <Result>(work: (pool: Pool) => Promise<Result>) => Promise<Result>;
  shipped: ShippedRows;
  modelsDir: string;
  now: Date;
  /** Told the plan before anything is fitted; false ends it there. */
  onPlan?: (plan: TrainingPlan) => boolean;
  onProgress?: (step: string, share: number) => void;
}

export interface TrainingOutcome extends Pick<JudgedFit, 'decision' | 'reason' | 'sentence' | 'pipeline'> {
  plan: TrainingPlan;
  /** Null where nothing was published. */
  version: string | null;
  /** Where nothing was published it has no id, and is of no version. */
  gate: (NewGateEntry & { gate_id: number | null; pipeline_version: string | null }) | null;
  /** Of the file in models/, if it was to be written. */
  file: Published['file'];
}

/** Undefined where `onPlan` has ended it. Throws, with nothing published, where it fails. */
export async function runTraining(
  asked: TrainingRequest,
  { withPool, shipped, modelsDir, now, onPlan = () => true, onProgress }: TrainingContext,
): Promise<TrainingOutcome | undefined> {
  const plan = await withPool((pool) => planTraining(pool, asked, { shipped, now }));
  if (!onPlan(plan)) return undefined;
  if (plan.shortage) throw new RidgelineError('training_data', { detail: plan.shortage });
  const twinOf = (sha256: string) =>
    withPool((pool) => servedOrHeldWith(pool, sha256, plan.champion?.pipelineVersion ?? ''));
  // With no database open, as Ctrl-C ends a long training at once then.
  const judged = await fitAndJudge(plan, asked, { twinOf, now, onProgress });
  if (asked.dryRun || judged.decision === 'unchanged') {
    const gate = judged.gate ? { gate_id: null, pipeline_version: null, ...judged.gate } : null;
    return { ...judged, plan, version: null, gate, file: undefined };
  }
  const published = await withPool((pool) =>
    publishJudged(pool, judged, { asked, plan, modelsDir, now, shipped: shipped.contract }),
  );
  const { pipelineVersion: version, file } = published;
  return { ...judged, ...concluded(judged, published), plan, version, pipeline: publishedFit(judged, published), file };
}

interface PublicationContext {
  asked: TrainingRequest;
  plan: TrainingPlan;
  modelsDir: string;
  now: Date;
  shipped: Contract;
}

function publishJudged(
  pool: Pool,
  { pipeline, decision, gate, judged = pipeline }: JudgedFit,
  { asked: { promotedBy, reason, breaking = false }, plan, ...where }: PublicationContext,
): Promise<Published> {
  return publish(pipeline, {
    ...where,
    transaction: (work) => transaction(pool, work),
    action: promotedBy === 'schedule' ? 'schedule' : 'train',
    promotes: decision === 'promoted',
    ...{ promotedBy, reason, breaking, dataFile: plan.source },
    gate: gate && { entry: gate, promotionId: plan.promotionId, judged },
  });
}

/** What has come of it, which may be less than was decided: somebody may have chosen what is served meanwhile. */
function concluded(
  { decision, reason, sentence }: JudgedFit,
  { isPromoted, heldBy, gate }: Published,
): Pick<TrainingOutcome, 'decision' | 'reason' | 'sentence' | 'gate'> {
  if (decision !== 'promoted' || isPromoted) return { decision, reason, sentence, gate };
  if (heldBy) return { decision: 'held', reason: heldBy.action, sentence: describeHold(heldBy), gate };
  return { decision: 'held', reason: gate!.reason, sentence: describeGate(gate!), gate };
}

function publishedFit({ pipeline, judged = pipeline }: JudgedFit, { isPromoted }: Published): NewPipeline {
  return isPromoted ? pipeline : judged;
}
