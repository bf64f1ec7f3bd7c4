/** The names of pipeline versions, which are made of the time of their publication: 2026_11_22__17_57_15. */

/** Whether a text could be the name of a version; any other is not looked for. */
export function isVersionName(text: string): boolean {
  return /^\d{4}_\d\d_\d\d__\d\d_\d\d_\d\d$/.test(text);
}
