import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Given, type Intent, readIntent } from '../../../shared/intent/intent.ts';
import type { Task } from '../../../shared/protocol/request.ts';

export const languages = ['en', 'de', 'fr', 'es', 'ja', 'zh'] as const;

const situations = {
  none: { edit: false, mask: false, references: 0 },
  refs: { edit: false, mask: false, references: 1 },
  picture: { edit: true, mask: false, references: 0 },
  'picture+ref': { edit: true, mask: false, references: 1 },
  mask: { edit: true, mask: true, references: 0 },
  'mask+ref': { edit: true, mask: true, references: 1 },
  margin: { edit: true, mask: false, references: 0, margin: true },
  /** The request asks for a size beyond the picture. */
  larger: { edit: true, mask: false, references: 0 },
} as const satisfies Readonly<Record<string, Given>>;

type Line = readonly [text: string, situation: keyof typeof situations, task: Task];

export interface Sentence {
  readonly text: string;
  readonly given: Given;
  readonly task: Task;
  readonly intent: Intent;
}

export function readSentences(name: string): Sentence[] {
  const file = path.join(import.meta.dirname, 'sentences', `${name}.json`);
  const lines = JSON.parse(readFileSync(file, 'utf8')) as Line[];
  return lines.map(([text, situation, task]) => {
    const given = situations[situation];
    return { text, given, task, intent: readIntent(text, given) };
  });
}

/**
 * What replaces all of a picture without the model having seen it. Outpainting keeps every pixel that is
 * there.
 */
const destructive: readonly Task[] = [
  'text-to-image',
  'reference-generation',
  'inpaint',
  'local-editing',
  'local-reference-editing',
];

export function isDestructive({ edit, mask }: Given, task: Task): boolean {
  return edit && !mask && destructive.includes(task);
}
