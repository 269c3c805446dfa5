/** The task that a person means, from the words and from what is there: rules, so that each answer has its reason. */
import type { Task } from '../protocol/request.ts';
import type { Purpose } from './language.ts';
import { meaningOf } from './meaning.ts';

/** What came with an instruction. */
export interface Given {
  /** A picture to edit. */
  readonly edit: boolean;
  readonly mask: boolean;
  readonly references: number;
  /** The picture has a transparent margin, which is painted unless the words say something else. */
  readonly margin?: boolean;
}

/** The key of a sentence for the person; those of `words` quote the instruction. */
export type ReasonKey =
  | `words-${Purpose}`
  | `layers-${'none' | 'references' | 'picture' | 'margin' | 'mask' | 'mask-references'}`;

export interface Reason {
  readonly key: ReasonKey;
  /** The part of the instruction that decided, as it was typed; empty where what is there decided. */
  readonly words: string;
}

/** `clear`: the words say it; `likely`: a word is misspelled, or they say several things; `default`: what is there decided. */
export type Confidence = 'clear' | 'likely' | 'default';

export interface Intent {
  readonly task: Task;
  readonly reason: Reason;
  readonly confidence: Confidence;
}

/** Where a purpose is a task of its own: with a mask, and over the whole picture. */
const tasksOf: Readonly<Record<Purpose, { readonly masked: Task; readonly whole: Task }>> = {
  trace: { masked: 'control', whole: 'control' },
  colorize: { masked: 'recolor', whole: 'recolor' },
  extend: { masked: 'outpaint', whole: 'outpaint' },
  enhance: { masked: 'super-resolution', whole: 'super-resolution' },
  replace: { masked: 'inpaint', whole: 'general-editing' },
  // Without a mask all of the picture would lose its colours first.
  recolor: { masked: 'recolor', whole: 'general-editing' },
  remove: { masked: 'inpaint', whole: 'general-editing' },
  // Half hidden, which keeps the shape: over the whole picture nothing would be left as it is.
  restyle: { masked: 'local-editing', whole: 'general-editing' },
  add: { masked: 'inpaint', whole: 'general-editing' },
};

/** Purposes that a reference serves, even where the words don't point at it. */
const servedByReference: ReadonlySet<Purpose> = new Set(['replace', 'add']);

/**
 * The task of an instruction. With a picture to edit it's never one that makes a new picture, nor one that hides the whole
 * picture from the model: only a person asks for that.
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
