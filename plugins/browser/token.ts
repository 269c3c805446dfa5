/**
 * Takes the token from the link that the companion printed (`#token=...`) and removes it from the address
 * bar, so that it isn't bookmarked or seen over a shoulder. Any page can link here: the connection only
 * stores an accepted token.
 */
export function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token') ?? undefined;
  if (given) history.replaceState(null, '', location.pathname + location.search);
  return given;
}
