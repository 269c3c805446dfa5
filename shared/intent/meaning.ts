/** What a sentence says: its purpose and whether it points at a reference, by the rules of its language. */
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
  /** The words that said it, as they were typed. */
  readonly words: string;
  /** Whether they say one thing only, rightly spelled. */
  readonly isClear: boolean;
  readonly pointsAtReference: boolean;
}

/** What is asked for is said early; a long description after it only takes time, at each key that is pressed. */
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
    // To add something is how most things are said: it contradicts nothing.
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

/** The languages that a text may be in, the likeliest first. */
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

/** What a description has words of without asking for it. */
const described: ReadonlySet<Purpose> = new Set(['enhance', 'recolor', 'restyle', 'extend']);

/** One match at most for each purpose, in the order in which they count. */
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
