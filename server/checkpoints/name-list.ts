/** Maximum number of names in an error message; more would bury its remedy. */
const namesAtMost = 10;

/** `"a", "b" and 7 more` */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, namesAtMost).map((name) => `"${name}"`);
  const rest = names.length - shown.length;
  return shown.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
