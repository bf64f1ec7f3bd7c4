/** Many things in a sentence. */

/** The first `most` of them between commas, and how many more there are: "a, b and 3 more". */
export function listing<Item>(items: readonly Item[], most: number, show: (item: Item) => string = String): string {
  const shown = items.slice(0, most).map(show).join(', ');
  const more = items.length - most;
  return more > 0 ? `${shown} and ${more} more` : shown;
}
