/** Words that are one letter away from a command but mean something else. */
const others: ReadonlySet<string> = new Set([
  'extent',
  'crisps',
  'removal',
  'deleted',
  'charger',
  'change',
  'limpia',
  'replay',
  'cambie',
  'peindre',
  'pintar',
  'ajout',
  'enlarged',
  'removed',
  'replaced',
  'extended',
  'expanse',
  'agrandi',
  'retiree',
  'borrar',
  'efface',
  'effect',
  'parties',
]); // prettier-ignore

/**
 * Corrects words that are one letter away from one of `spelled`: wrong, missing, extra or swapped with the
 * next.
 */
export function corrected(text: string, spelled: readonly string[]): string {
  return text.replace(/[a-z]{5,}/g, (word) => {
    if (others.has(word) || spelled.includes(word)) return word;
    return spelled.find((right) => right[0] === word[0] && isOneSlipAway(word, right)) ?? word;
  });
}

function isOneSlipAway(word: string, right: string): boolean {
  if (Math.abs(word.length - right.length) > 1) return false;
  let start = 0;
  while (start < word.length && word[start] === right[start]) start++;
  const [rest, rightRest] = [word.slice(start), right.slice(start)];
  if (rest.length > rightRest.length) return rest.slice(1) === rightRest;
  if (rest.length < rightRest.length) return rest === rightRest.slice(1);
  const isSwapped = rest[0] === rightRest[1] && rest[1] === rightRest[0];
  return rest.slice(1) === rightRest.slice(1) || (isSwapped && rest.slice(2) === rightRest.slice(2));
}
