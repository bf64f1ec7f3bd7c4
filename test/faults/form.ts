/** The two forms of the suite: FAULTS=short for every change, the full one, which is the default, for a release. */
export const isShort = process.env.FAULTS === 'short';

/** One value for the short form, another one for the full form. */
export function inForm<Value>(short: Value, full: Value): Value {
  return isShort ? short : full;
}
