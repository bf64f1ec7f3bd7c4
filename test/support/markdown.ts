/** What documents say, for tests that hold it against the sources. */

/** The fenced blocks of a language, in order. */
export function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, block]) =>
    name === language ? block! : [],
  );
}

/** Of its headings, as a page of the document has them. */
export function anchorsOf(text: string): string[] {
  const headings = text.matchAll(/^#+ (.*)$/gm);
  return [...headings].map(
    ([, title]) =>
      `#${title!
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-')}`,
  );
}

/** From a heading of the second level to the next. */
export function sectionOf(text: string, title: string): string {
  const [, rest] = text.split(`\n## ${title}\n`);
  if (rest === undefined) throw new Error(`There is no section "${title}".`);
  return rest.split('\n## ', 1)[0]!;
}
