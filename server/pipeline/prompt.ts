/** What of an instruction is encoded: cleaned, and without names that the model does not know. */
import type { Convention } from '../../shared/conventions.ts';
import { cleanText } from '../models/clean-text.ts';

export interface Prompt {
  readonly text: string;
  /** What the person should know of how it was taken. */
  readonly notes: readonly string[];
}

/** `{image1}` to `{image9}`, with the article before it. */
const names = /(?:\b(?:the|a|an)\s+)?\{image([1-9])\}/gi;

/**
 * @param model its id, for notes
 * @param references how many came with the instruction
 */
export function promptOf(
  instruction: string,
  { namesReferences, cleansText }: Pick<Convention, 'namesReferences' | 'cleansText'>,
  model: string,
  references: number,
): Prompt {
  const cleaned = cleansText ? cleanText(instruction) : instruction;
  const numbers = [...cleaned.matchAll(names)].map(([, digit]) => Number(digit));
  const absent = [...new Set(numbers.filter((number) => number > references))];
  const notes: string[] = [];
  if (absent.length > 0) {
    const listed = absent.map((number) => `{image${number}}`).join(', ');
    const there = references === 1 ? 'only one reference' : `${references || 'no'} references`;
    notes.push(`The instruction names ${listed}, but there ${references === 1 ? 'is' : 'are'} ${there}.`);
  }
  if (namesReferences || numbers.length === 0) return { text: cleaned, notes };
  // As the authors' instructions speak of a reference: "The item is put on the ground." (examples/examples.py).
  const text = cleaned.replace(names, 'the item');
  notes.push(
    `“${model}” knows no {image${numbers[0]}}: it was sent “${text}”. Describe what should be seen instead.`,
  );
  return { text, notes };
}
