/** Matches `{image1}` to `{image9}`, with the article before it. */
const names = /(?:\b(?:the|a|an)\s+)?\{image([1-9])\}/gi;

/** The numbers of the references that an instruction names, in order. */
export function namedReferences(instruction: string): number[] {
  return [...instruction.matchAll(names)].map(([, digit]) => Number(digit));
}

/** The instruction without reference names, for models that don't know them. */
export function withoutReferenceNames(instruction: string, instead: string): string {
  return instruction.replace(names, instead);
}

/**
 * A note for the user if the instruction names references that don't exist.
 * @param references how many there are
 */
export function absentReferencesNote(instruction: string, references: number): string | undefined {
  const absent = [...new Set(namedReferences(instruction).filter((number) => number > references))];
  if (absent.length === 0) return undefined;
  const listed = absent.map((number) => `{image${number}}`).join(', ');
  const there = references === 1 ? 'is only one reference' : `are ${references || 'no'} references`;
  return `The instruction names ${listed}, but there ${there}.`;
}
