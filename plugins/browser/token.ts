const key = 'acepp.token';

/**
 * The token from the address that the companion printed (`#token=...`). It is kept for this origin and taken out of
 * the address bar, so that it is neither bookmarked nor seen over a shoulder.
 */
export function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    localStorage.setItem(key, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  return given ?? localStorage.getItem(key) ?? undefined;
}
