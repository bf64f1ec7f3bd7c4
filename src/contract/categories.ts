/** Categories in their order, and as people are shown them. */
import { listing } from '../listing.ts';

/** How many are shown. */
const SHOWN_CATEGORIES = 5;

/** As Python sorts texts, and with it scikit-learn: the bytes of UTF-8 have the order of the code points. */
export function byCodePoints(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

/** The first ones, and how many more there are. */
export function listed(categories: readonly (string | number)[]): string {
  return listing(categories, SHOWN_CATEGORIES, JSON.stringify);
}
