/** Infers the task from the instruction and the layers, by rules, so that each result has a reason. */
import type { Task } from '../protocol/request.ts';
import type { Purpose } from './language.ts';
import { meaningOf } from './meaning.ts';

/** What came with an instruction. */
export interface Given {
  /** A picture to edit. */
  readonly edit: boolean;
  readonly mask: boolean;
  readonly references: number;
  /** The picture has a transparent margin, which is painted unless the words say otherwise. */
  readonly margin?: boolean;
}

/** The key of a sentence shown to the user; the sentences of `words` keys quote the instruction. */
export type ReasonKey =
  | `words-${Purpose}`
  | `layers-${'none' | 'references' | 'picture' | 'margin' | 'mask' | 'mask-references'}`;

export interface Reason {
  readonly key: ReasonKey;
  /** The part of the instruction that decided, as typed; empty if the layers decided. */
  readonly words: string;
}

/**
 * `clear`: the words say it; `likely`: a word is misspelled, or they say several things; `default`: the
 * layers decided.
 */
export type Confidence = 'clear' | 'likely' | 'default';

export interface Intent {
  readonly task: Task;
  readonly reason: Reason;
  readonly confidence: Confidence;
}

/** The task for each purpose: with a mask, and for the whole picture. */
const tasksOf: Readonly<Record<Purpose, { readonly masked: Task; readonly whole: Task }>> = {
  trace: { masked: 'control', whole: 'control' },
  colorize: { masked: 'recolor', whole: 'recolor' },
  extend: { masked: 'outpaint', whole: 'outpaint' },
  enhance: { masked: 'super-resolution', whole: 'super-resolution' },
  replace: { masked: 'inpaint', whole: 'general-editing' },
  // Without a mask, the whole picture would first lose its colours.
  recolor: { masked: 'recolor', whole: 'general-editing' },
  remove: { masked: 'inpaint', whole: 'general-editing' },
  // Half hidden, which keeps the shape: without a mask, nothing in the picture would stay the same.
  restyle: { masked: 'local-editing', whole: 'general-editing' },
  add: { masked: 'inpaint', whole: 'general-editing' },
};

/** Purposes that use a reference even if the words don't point at it. */
const servedByReference: ReadonlySet<Purpose> = new Set(['replace', 'add']);

/**
 * The task of an instruction. With a picture to edit, it is never a task that makes a new picture, nor one
 * that hides the whole picture from the model: only the user can ask for those.
 */
export function readIntent(instruction: string, given: Given): Intent {
  const { edit, mask, references, margin = false } = given;
  if (!edit) {
    return references > 0
      ? byLayers('reference-generation', 'layers-references')
      : byLayers('text-to-image', 'layers-none');
  }
  const { purpose, words, isClear, pointsAtReference } = meaningOf(instruction);
  const byWords = (task: Task, said: Purpose): Intent => ({
    task,
    reason: { key: `words-${said}`, words },
    confidence: isClear ? 'clear' : 'likely',
  });
  if (mask) {
    if (references > 0 && (pointsAtReference || purpose === undefined || servedByReference.has(purpose))) {
      return byLayers('local-reference-editing', 'layers-mask-references');
    }
    return purpose ? byWords(tasksOf[purpose].masked, purpose) : byLayers('inpaint', 'layers-mask');
  }
  if (margin && (purpose === undefined || purpose === 'extend' || purpose === 'add')) {
    return byLayers('outpaint', 'layers-margin');
  }
  return purpose ? byWords(tasksOf[purpose].whole, purpose) : byLayers('general-editing', 'layers-picture');
}

function byLayers(task: Task, key: ReasonKey): Intent {
  return { task, reason: { key, words: '' }, confidence: 'default' };
}
