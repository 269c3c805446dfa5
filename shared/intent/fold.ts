const accents: Readonly<Record<string, string>> = {
  a: 'áàâäãå',
  c: 'ç',
  e: 'éèêë',
  i: 'íìîï',
  n: 'ñ',
  o: 'óòôöõ',
  u: 'úùûü',
  ss: 'ß',
  oe: 'œ',
  ae: 'æ',
  "'": '’‘`´',
  '"': '“”„«»',
  ' ': '\u00a0\u202f\u3000\n\t',
};

const folded = new Map(
  Object.entries(accents).flatMap(([plain, letters]) => [...letters].map((letter) => [letter, plain])),
);

/** Text normalized for the rules, with the position in the original of each letter, and of the end. */
export interface Folded {
  readonly text: string;
  readonly places: readonly number[];
}

/**
 * Converts to lower case, drops accents, which people often leave out, and turns full-width forms into ASCII.
 */
export function fold(original: string): Folded {
  let text = '';
  const places: number[] = [];
  for (let i = 0; i < original.length; i++) {
    const letter = original.charAt(i).toLowerCase();
    // A combining accent: macOS decomposes letters.
    if (letter >= '\u0300' && letter <= '\u036f') continue;
    const plain = folded.get(letter) ?? halfWidth(letter);
    text += plain;
    for (let k = 0; k < plain.length; k++) places.push(i);
  }
  return { text, places: [...places, original.length] };
}

/** U+FF01 to U+FF5E are ASCII characters as wide as an ideograph. */
function halfWidth(letter: string): string {
  const code = letter.charCodeAt(0);
  return code >= 0xff01 && code <= 0xff5e ? String.fromCharCode(code - 0xfee0) : letter;
}
