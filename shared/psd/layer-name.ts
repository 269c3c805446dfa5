/** As many characters as Photoshop's layer panel can show. */
const longest = 60;

/**
 * Text as the name of a layer: one line, without control characters or halves of surrogate pairs, cut between what a person
 * sees as characters.
 */
export function layerName(text: string): string {
  const clean = text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .replaceAll(/\p{Cs}/gu, '\ufffd')
    .replaceAll(/\s+/g, ' ')
    .trim();
  const characters = [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(clean)];
  const cut = characters.slice(0, longest).map(({ segment }) => segment);
  return cut.join('').trim() || 'ACE++';
}
