const key = 'acepp.token';

/**
 * Keeps the token of the address that the companion printed (`#token=...`) where the connection looks for it, and
 * takes it out of the address bar, so that it is neither bookmarked nor seen over a shoulder.
 */
export function takeToken(): void {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    localStorage.setItem(key, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
}
