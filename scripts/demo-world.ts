/**
 * A world of houses and their prices, for the demo: houses are those of the data set with small differences, and prices what was
 * paid for them, until rooms become dear. Within a week what a room adds doubles, and callers ask for larger houses.
 */
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { Contract } from '../src/contract/contract.ts';
import type { Dataset } from '../src/estimators/dense-matrix.ts';

export interface House {
  /** By feature name, as a caller sends it. */
  row: Record<string, number>;
  /** What it turns out to be worth, in 1000 USD. */
  price: number;
}

export interface World {
  /** A house that somebody asks about at a time. */
  house(at: Date): House;
  /** True in so many of 1 cases. */
  chance(share: number): boolean;
  /** A whole number between two, both included. */
  between(least: number, most: number): number;
}

export interface WorldOptions {
  seed: number;
  contract: Contract;
  dataset: Dataset;
  /** When rooms begin to become dear; never without it. */
  changesFrom?: Date;
}

/** How long the change takes. */
export const CHANGE_DAYS = 7;
const CHANGE_MS = CHANGE_DAYS * 24 * 3_600_000;
const ROOMS = 'RM';
/** The slope of the line of prices over rooms, all 506 houses: 9,100 USD a room. It doubles. */
const WORTH_OF_A_ROOM = 9.1;
/** The mean of RM: houses of so many rooms cost what they did. */
const USUAL_ROOMS = 6.28;
/** Half a standard deviation of RM: by so much the houses that are asked about grow. */
const LARGER_BY = 0.35;
/** By how much of themselves these differ from those of the data set; others are the same for many houses. */
const DIFFERENCE = 0.02;
const DIFFERENT = ['CRIM', 'RM', 'DIS', 'LSTAT'];

export function createWorld({ seed, contract, dataset: { X, y }, changesFrom }: WorldOptions): World {
  const random = xoroshiro128plus(seed);
  const normal = () =>
    Math.sqrt(-2 * Math.log(1 - uniformFloat64(random))) * Math.cos(2 * Math.PI * uniformFloat64(random));
  /** From 0, before the change, to 1. */
  const progressAt = (at: Date) =>
    changesFrom === undefined ? 0 : Math.min(1, Math.max(0, (at.getTime() - changesFrom.getTime()) / CHANGE_MS));

  return {
    house(at) {
      const progress = progressAt(at);
      const source = uniformInt(random, 0, y.length - 1);
      const row = Object.fromEntries(
        contract.names.map((name, place) => {
          const value = X.data[source * X.columns + place]!;
          const other = DIFFERENT.includes(name) ? value * Math.exp(DIFFERENCE * normal()) : value;
          return [name, name === ROOMS ? other + progress * LARGER_BY : other];
        }),
      );
      const more = progress * WORTH_OF_A_ROOM * (row[ROOMS]! - USUAL_ROOMS);
      return { row, price: Math.max(1, y[source]! + more + normal()) };
    },
    chance: (share) => uniformFloat64(random) < share,
    between: (least, most) => uniformInt(random, least, most),
  };
}
