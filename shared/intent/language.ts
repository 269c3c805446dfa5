/** What a person can mean by an instruction, and how a language says it. */

/** In the order in which they count where a sentence says several. */
export const purposes = [
  /** Make a picture of a drawing, or follow its lines. */
  'trace',
  /** Give colour to a black and white picture. */
  'colorize',
  'extend',
  'enhance',
  /** Put something else in the place of what is there. */
  'replace',
  'recolor',
  'remove',
  /** Another material or style, the same shape. */
  'restyle',
  'add',
] as const;
export type Purpose = (typeof purposes)[number];

/**
 * How one language says each purpose. Patterns are matched against folded text (fold.ts): lower case, no accents, plain
 * quotes. UXP reads them too, so they use neither \p{…} nor lookbehind.
 */
export interface Language {
  /** Its commonest words, by which it is recognized; languages with a script of their own need none. */
  readonly common?: RegExp;
  readonly rules: Readonly<Record<Purpose, readonly RegExp[]>>;
  /**
   * A thing that is to be seen, such as "a red chair of wood" or "add a sharp knife": its colour, its material and the like
   * ask for nothing to be done to what is there.
   */
  readonly description?: RegExp;
  /** Ways to point at the reference without writing {image1}. */
  readonly reference: RegExp;
  /** Says the opposite: `before` ends where a rule matched, `after` starts there. */
  readonly negation: { readonly before?: RegExp; readonly after?: RegExp };
  /** Words that are recognized with one wrong, missing, extra or swapped letter. */
  readonly spelled: readonly string[];
}

/** A pattern with parts: `pattern\`make .+ (${colours})\``. */
export function pattern(parts: TemplateStringsArray, ...inserted: readonly string[]): RegExp {
  return new RegExp(String.raw(parts, ...inserted));
}
