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

/** Text as the rules read it, with the place in the original of each of its letters, and of its end. */
export interface Folded {
  readonly text: string;
  readonly places: readonly number[];
}

/** Lower case, without accents, which people leave out, and full-width forms as ASCII. */
export function fold(original: string): Folded {
  let text = '';
  const places: number[] = [];
  for (let i = 0; i < original.length; i++) {
    const letter = original.charAt(i).toLowerCase();
    // An accent of its own, as macOS decomposes letters.
    if (letter >= '\u0300' && letter <= '\u036f') continue;
    const plain = folded.get(letter) ?? halfWidth(letter);
    text += plain;
    for (let k = 0; k < plain.length; k++) places.push(i);
  }
  return { text, places: [...places, original.length] };
}

/** U+FF01 to U+FF5E are ASCII as wide as an ideograph. */
function halfWidth(letter: string): string {
  const code = letter.charCodeAt(0);
  return code >= 0xff01 && code <= 0xff5e ? String.fromCharCode(code - 0xfee0) : letter;
}
