/** A fit, and whether it may take the place of what is served. */
import { type Measured, testOnHoldout, withoutTest } from '../gate/holdout-test.ts';
import { describeGate } from '../gate/sentence.ts';
import type { Verdict } from '../gate/verdict.ts';
import type { NewGateEntry } from '../registry/gate-decisions.ts';
import type { NewPipeline } from '../registry/pipeline-versions.ts';
import { doubtAbout } from '../training/doubt.ts';
import { trainPipeline } from '../training/train.ts';
import { holdoutOf } from './labelled-rows.ts';
import type { TrainingPlan, TrainingRequest } from './training-plan.ts';
import { composeTrainingSet, type FitRows, type TrainingSet } from './training-set.ts';

export interface JudgedFit {
  /** What is to be published. */
  pipeline: NewPipeline;
  decision: 'promoted' | 'held' | 'rejected' | 'unchanged' | 'not_promoted';
  /** In a word: always, never, a doubt about the data, or what the gate says. */
  reason: string;
  /** The same for people. */
  sentence?: string | undefined;
  /** The test behind it, if there was one. */
  gate?: NewGateEntry | undefined;
  /** The fit that was judged: published in its place where somebody has changed what is served meanwhile. */
  judged?: NewPipeline | undefined;
}

export interface FitContext {
  /** The version of these bytes that is served or held. */
  twinOf: (sha256: string) => Promise<string | undefined>;
  now: Date;
  onProgress?: ((step: string, share: number) => void) | undefined;
}

/** Of two fits to the same rows by other recipes: one that is further off than that waits for truths. */
const MOST_TIMES_WORSE = 1.02;
const FIRST_LOOK = 1;

/** Trains as the plan says. Throws what training/train.ts throws; nothing has been written by then. */
export async function fitAndJudge(plan: TrainingPlan, asked: TrainingRequest, context: FitContext): Promise<JudgedFit> {
  const { contract, base, labelled = [], champion } = plan;
  const { alpha, seed, promote } = asked;
  const championThrough = champion?.trainedThrough ?? null;
  const set = composeTrainingSet({ base, labelled, learns: asked.labelled ?? false, championThrough });
  const train = ({ dataset, trainingRows, trainedThrough }: FitRows): NewPipeline => {
    const trained = trainPipeline(dataset, { contract, alpha, seed, onProgress: context.onProgress });
    return { ...trained, trainingRows, trainedThrough };
  };
  if (promote === 'gate' && !hasNothingToTest(asked, plan)) {
    return await fitForGate({ plan, set, train, decidedBy: asked.promotedBy, ...context });
  }
  const pipeline = train(set.all);
  if (promote === 'never') return { pipeline, decision: 'not_promoted', reason: 'never' };
  const doubt = promote === undefined ? doubtAbout(pipeline, set.all.dataset) : undefined;
  if (doubt) return { pipeline, decision: 'not_promoted', ...doubt };
  return { pipeline, decision: 'promoted', reason: promote === 'gate' ? 'no_labels' : 'always' };
}

/** While no prediction has had a truth a schedule registers a new version that takes over. */
function hasNothingToTest({ promotedBy }: TrainingRequest, { labelled = [], champion }: TrainingPlan): boolean {
  // Of one that has learned from truths they are gone, as with their months: nothing takes its place unproven.
  const hasLearned = champion !== undefined && champion.trainedThrough !== null;
  return promotedBy === 'schedule' && labelled.length === 0 && !hasLearned;
}

interface GateContext extends FitContext {
  plan: TrainingPlan;
  set: TrainingSet;
  train: (rows: FitRows) => NewPipeline;
  decidedBy: string;
}

async function fitForGate({ plan, set, train, decidedBy, twinOf, now }: GateContext): Promise<JudgedFit> {
  const judged = train(set.split?.fit ?? set.all);
  const twin = plan.labelled?.length ? await twinOf(judged.sha256) : undefined;
  if (twin !== undefined) {
    const sentence = `The same rows have given the pipeline that is there as ${twin}.`;
    return { pipeline: judged, decision: 'unchanged', reason: 'same_bytes', sentence };
  }
  const verdict = judgeFit(judged, plan, set);
  const gate = { ...verdict, decided_at: now.toISOString(), decided_by: decidedBy, judged_sha256: judged.sha256 };
  const { decision, reason } = gate;
  // What is promoted has learned from all rows, also from those by which its recipe was judged.
  const pipeline = set.split && decision === 'promoted' ? train(set.all) : judged;
  return { pipeline, judged, decision, reason, sentence: describeGate(gate), gate };
}

type Decided = Measured & Pick<NewGateEntry, 'decision' | 'reason'>;

function judgeFit(judged: NewPipeline, { contract, champion }: TrainingPlan, { split, honest }: TrainingSet): Decided {
  const decided = (decision: Verdict['decision'], reason: string, rows = honest): Decided => ({
    ...withoutTest(holdoutOf(rows, contract), champion),
    decision,
    reason,
  });
  if (!champion) return decided('promoted', 'first', []);
  if (split) {
    const contenders = { champion, challenger: { artefact: judged.artefact, contract }, look: FIRST_LOOK };
    return testOnHoldout(holdoutOf(split.holdout, contract), contenders) ?? decided('held', 'not_comparable', []);
  }
  if (judged.dataSha256 !== champion.dataSha256) return decided('held', 'too_few_labels');
  const isNear = judged.metrics.cv_rmse! <= MOST_TIMES_WORSE * (champion.cvRmse ?? Number.NEGATIVE_INFINITY);
  return isNear ? decided('promoted', 'cv_not_worse') : decided('held', 'cv_worse');
}
