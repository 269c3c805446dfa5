/**
 * The token of the address that the companion printed (`#token=...`), and takes it out of the address bar, so that it is
 * neither bookmarked nor seen over a shoulder. Any page can link here: the connection keeps it once it was accepted.
 */
export function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token') ?? undefined;
  if (given) history.replaceState(null, '', location.pathname + location.search);
  return given;
}
