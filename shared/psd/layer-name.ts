/** The number of characters that Photoshop's layer panel can show. */
const longest = 60;

/**
 * Converts text to a layer name: one line, without control characters or unpaired surrogates, cut only
 * between what people perceive as characters.
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
