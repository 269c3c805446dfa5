/** The prompt to encode: the instruction, cleaned, and without names that the model does not know. */
import type { Convention } from '../../shared/conventions.ts';
import {
  absentReferencesNote,
  namedReferences,
  withoutReferenceNames,
} from '../../shared/intent/named-references.ts';
import { cleanText } from '../models/clean-text.ts';

export interface Prompt {
  readonly text: string;
  /** What the user should know about how the instruction was read. */
  readonly notes: readonly string[];
}

/**
 * @param model its id, for notes
 * @param references the number that came with the instruction
 */
export function promptOf(
  instruction: string,
  { namesReferences, cleansText }: Pick<Convention, 'namesReferences' | 'cleansText'>,
  model: string,
  references: number,
): Prompt {
  const cleaned = cleansText ? cleanText(instruction) : instruction;
  const numbers = namedReferences(cleaned);
  const absent = absentReferencesNote(cleaned, references);
  const notes = absent === undefined ? [] : [absent];
  if (namesReferences || numbers.length === 0) return { text: cleaned, notes };
  // The authors' instructions refer to a reference this way: "The item is put on the ground."
  // (examples/examples.py).
  const text = withoutReferenceNames(cleaned, 'the item');
  notes.push(
    `“${model}” knows no {image${numbers[0]}}: it was sent “${text}”. Describe what should be seen instead.`,
  );
  return { text, notes };
}
