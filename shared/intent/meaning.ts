/**
 * The meaning of a sentence: its purpose, and whether it points at a reference, by the rules of its language.
 */
import { fold } from './fold.ts';
import { type Language, type Purpose, purposes } from './language.ts';
import { german } from './languages/de.ts';
import { english } from './languages/en.ts';
import { spanish } from './languages/es.ts';
import { french } from './languages/fr.ts';
import { japanese } from './languages/ja.ts';
import { chinese } from './languages/zh.ts';
import { namedReferences } from './named-references.ts';
import { corrected } from './spelling.ts';

export interface Meaning {
  readonly purpose?: Purpose;
  /** The words that express it, as typed. */
  readonly words: string;
  /** Whether the words express only one purpose, spelled correctly. */
  readonly isClear: boolean;
  readonly pointsAtReference: boolean;
}

/**
 * Requests come early in a text; reading a long description after them only costs time, on every key press.
 */
const readLength = 600;

export function meaningOf(instruction: string): Meaning {
  const { text, places } = fold(instruction.slice(0, readLength));
  const languages = languagesOf(text);
  const pointsAtReference =
    namedReferences(instruction).length > 0 || languages.some(({ reference }) => reference.test(text));
  for (const language of languages) {
    const [first, ...others] = findAll(text, language);
    if (!first) continue;
    const words = instruction.slice(places[first.start], places[first.end]).trim();
    // Most requests are phrased as adding something, so `add` contradicts nothing.
    const isClear = others.every(({ purpose }) => purpose === 'add');
    return { purpose: first.purpose, words, isClear, pointsAtReference };
  }
  for (const language of languages) {
    const right = corrected(text, language.spelled);
    const [first] = right === text ? [] : findAll(right, language);
    if (!first) continue;
    const words = right.slice(first.start, first.end).trim();
    return { purpose: first.purpose, words, isClear: false, pointsAtReference };
  }
  return { words: '', isClear: false, pointsAtReference };
}

const kana = /[\u3041-\u30ff]/;
const ideographs = /[\u3400-\u9fff]/;

/** The languages a text may be in, most likely first. */
function languagesOf(text: string): readonly Language[] {
  if (kana.test(text)) return [japanese];
  if (ideographs.test(text)) return [chinese, japanese];
  const counted = [english, german, french, spanish].map((language) => ({
    language,
    count: language.common ? (text.match(language.common)?.length ?? 0) : 0,
  }));
  const most = Math.max(...counted.map(({ count }) => count));
  return counted.filter(({ count }) => count === most).map(({ language }) => language);
}

interface Found {
  readonly purpose: Purpose;
  readonly start: number;
  readonly end: number;
}

/** Purposes whose words also occur in descriptions that don't ask for them. */
const described: ReadonlySet<Purpose> = new Set(['enhance', 'recolor', 'restyle', 'extend']);

/** At most one match per purpose, in order of precedence. */
function findAll(text: string, language: Language): Found[] {
  const isDescription = language.description?.test(text) === true;
  return purposes.flatMap((purpose) => {
    if (isDescription && described.has(purpose)) return [];
    for (const rule of language.rules[purpose]) {
      const match = rule.exec(text);
      if (!match) continue;
      const [start, end] = [match.index, match.index + match[0].length];
      if (!isNegated(text, start, end, language)) return [{ purpose, start, end }];
    }
    return [];
  });
}

function isNegated(text: string, start: number, end: number, { negation }: Language): boolean {
  return (
    negation.before?.test(text.slice(0, start)) === true || negation.after?.test(text.slice(end)) === true
  );
}
