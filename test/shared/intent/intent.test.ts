import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Given, readIntent } from '../../../shared/intent/intent.ts';
import { absentReferencesNote } from '../../../shared/intent/named-references.ts';
import { hasMargin } from '../../../shared/margin.ts';
import { isDestructive, languages, readSentences } from './sentences.ts';

const picture: Given = { edit: true, mask: false, references: 0 };
const masked: Given = { ...picture, mask: true };

function shareRight(name: string): number {
  const sentences = readSentences(name);
  return sentences.filter(({ task, intent }) => intent.task === task).length / sentences.length;
}

describe('the task is read from the instruction', () => {
  it.each(languages)('in nine of ten typical sentences, %s', (language) => {
    const sentences = readSentences(language);
    expect(sentences).toHaveLength(40);
    const wrong = sentences.filter(({ task, intent }) => intent.task !== task).map(({ text }) => text);
    expect(wrong.length, wrong.join('\n')).toBeLessThanOrEqual(4);
  });

  it('in the sentences the rules were extended for', () => {
    expect(shareRight('later')).toBeGreaterThanOrEqual(0.9);
  });

  // Those that fail fall back to the task the layers imply: 47 of 60.
  it('in most held-out sentences, written after the rules', () => {
    expect(shareRight('held-out')).toBeGreaterThanOrEqual(0.75);
  });

  it('never as one that replaces the whole picture, whatever it says', () => {
    const texts = [...languages, 'later', 'held-out'].flatMap(readSentences).map(({ text }) => text);
    for (const text of texts) {
      for (const margin of [false, true]) {
        for (const references of [0, 1]) {
          const given = { ...picture, margin, references };
          expect(isDestructive(given, readIntent(text, given).task), text).toBe(false);
        }
      }
    }
  });

  it('with the words that decided, as they were typed', () => {
    expect(readIntent('Bitte ENTFERNE die große Tasse', masked)).toEqual({
      task: 'inpaint',
      reason: { key: 'words-remove', words: 'ENTFERNE' },
      confidence: 'clear',
    });
    expect(readIntent('die Größe ist gut, aber löschen', masked).reason.words).toBe('löschen');
  });

  it('as merely likely from a misspelled word', () => {
    const { reason, confidence } = readIntent('remvoe the wires', masked);
    expect({ ...reason, confidence }).toEqual({ key: 'words-remove', words: 'remove', confidence: 'likely' });
  });

  it('not from mere descriptions', () => {
    for (const text of ['a red chair of old oak', 'une table en bois', 'ein scharfes Messer', '墙上的油画']) {
      expect(readIntent(text, masked).reason.key, text).toBe('layers-mask');
    }
  });

  it('from the layers if the words leave it open', () => {
    expect(readIntent('', { ...picture, margin: true }).task).toBe('outpaint');
    expect(readIntent('make it blue', { ...picture, margin: true }).task).toBe('general-editing');
    expect(readIntent('remove it', { edit: false, mask: false, references: 0 }).task).toBe('text-to-image');
  });
});

it('the rules run without \\p{…}, lookbehind or named groups', () => {
  const folder = path.join(import.meta.dirname, '../../../shared/intent');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const code = (file: string) =>
    readFileSync(path.join(folder, file), 'utf8').replaceAll(/\/\*\*[\s\S]*?\*\/|\/\/ .*/g, '');
  for (const file of files) expect(code(file), file).not.toMatch(/\\p\{|\(\?</);
});

it('names without a reference are noted in the instruction’s order', () => {
  expect(absentReferencesNote('{image3} beside {image2} and {image1}', 1)).toBe(
    'The instruction names {image3}, {image2}, but there is only one reference.',
  );
  expect(absentReferencesNote('{image1}', 1)).toBeUndefined();
});

describe('a transparent margin', () => {
  const alpha = (inside: (x: number, y: number) => number) => ({
    width: 8,
    height: 6,
    channels: 4 as const,
    data: Uint8Array.from({ length: 8 * 6 * 4 }, (_, i) =>
      i % 4 < 3 ? 90 : inside((i >> 2) % 8, Math.floor((i >> 2) / 8)),
    ),
  });

  it('surrounds a rectangle that does not fill the picture', () => {
    expect(hasMargin(alpha((x) => (x < 3 ? 0 : 255)))).toBe(true);
    expect(hasMargin(alpha((x, y) => (x > 1 && y > 1 ? 255 : 0)))).toBe(true);
  });

  it('is not found around a cut-out, in a hole, nor if all or nothing is transparent', () => {
    expect(hasMargin(alpha((x, y) => (Math.hypot(x - 3.5, y - 2.5) < 2.6 ? 255 : 0)))).toBe(false);
    expect(hasMargin(alpha((x, y) => (x === 3 && y === 3 ? 0 : 255)))).toBe(false);
    expect(hasMargin(alpha(() => 255))).toBe(false);
    expect(hasMargin(alpha(() => 0))).toBe(false);
  });
});
