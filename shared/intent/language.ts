/** The purposes an instruction can have, and how a language expresses them. */

/** In order of precedence, if a sentence expresses several. */
export const purposes = [
  /** Turn a drawing into a picture, or follow its lines. */
  'trace',
  /** Add colour to a black and white picture. */
  'colorize',
  'extend',
  'enhance',
  /** Replace what is there with something else. */
  'replace',
  'recolor',
  'remove',
  /** Change the material or style, but keep the shape. */
  'restyle',
  'add',
] as const;
export type Purpose = (typeof purposes)[number];

/**
 * How one language expresses each purpose. Patterns are matched against folded text (fold.ts): lower case, no
 * accents, plain quotes. UXP runs them too, so they use neither \p{…} nor lookbehind.
 */
export interface Language {
  /** Its most common words, by which it is recognized; languages with their own script need none. */
  readonly common?: RegExp;
  readonly rules: Readonly<Record<Purpose, readonly RegExp[]>>;
  /**
   * A description of something to show, such as "a red chair of wood" or "add a sharp knife": its colour,
   * material and the like don't ask for a change to what is there.
   */
  readonly description?: RegExp;
  /** Phrases that point at the reference without writing {image1}. */
  readonly reference: RegExp;
  /** Negates a match: `before` ends where a rule matched, `after` starts there. */
  readonly negation: { readonly before?: RegExp; readonly after?: RegExp };
  /** Words that are recognized despite one wrong, missing, extra or swapped letter. */
  readonly spelled: readonly string[];
}

/** Builds a pattern from parts: `pattern\`make .+ (${colours})\``. */
export function pattern(parts: TemplateStringsArray, ...inserted: readonly string[]): RegExp {
  return new RegExp(String.raw(parts, ...inserted));
}
