import { signal } from '@preact/signals';
import manifest from '../../../manifest.json' with { type: 'json' };
import { CodedError } from '../../../shared/errors.ts';
import type { Health, ModelInfo } from '../../../shared/protocol/answers.ts';
import { type Client, createClient } from '../client/client.ts';
import type { Host } from '../host.ts';

export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected'; readonly health: Health; readonly models: readonly ModelInfo[] }
  /** Not found, or lost; the panel keeps looking for it. */
  | { readonly kind: 'gone'; readonly error: CodedError }
  /** Found, but this panel has no token yet. */
  | { readonly kind: 'unpaired' }
  /** It answers, but refuses this panel. */
  | { readonly kind: 'refused'; readonly error: CodedError };

const millisecondsBetweenChecks = 5000;
const shortestRetry = 500;
const longestRetry = 8000;
const tokenKey = 'token';

/** Finds the companion at the host's addresses, and watches whether it answers and accepts the token. */
export function createConnection({
  companions,
  storage,
  explainSilence,
  offeredToken,
}: Pick<Host, 'companions' | 'storage' | 'explainSilence'> & {
  /** From a link that anyone could have made: stored only after a companion accepts it. */
  readonly offeredToken?: string | undefined;
}) {
  const state = signal<ConnectionState>({ kind: 'connecting' });
  /** Why the token only lasts until the panel closes; empty if it was stored. */
  const notice = signal('');
  let kept: string | undefined;
  let offered = offeredToken;
  /** Why the last offered token was rejected. */
  let refusal: CodedError | undefined;
  let client = createClient(companions[0]!, undefined);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retry = shortestRetry;
  let stopped = false;

  /** Tries the offered token if there is one, otherwise the stored one. */
  async function look(): Promise<ConnectionState> {
    kept ??= (await storage.get(tokenKey).catch(() => undefined)) || undefined;
    const given = offered;
    if (given === undefined) return lookWith(kept);
    const found = await lookWith(given);
    if (found.kind === 'gone') return found;
    if (offered === given) offered = undefined;
    if (found.kind === 'refused') refusal = found.error;
    if (found.kind !== 'connected') return kept === undefined ? found : lookWith(kept);
    await keep(given);
    return found;
  }

  async function keep(token: string): Promise<void> {
    kept = token;
    try {
      await storage.set(tokenKey, token);
    } catch (thrown) {
      // The system's key store can fail (a locked keychain, a moved profile): the token works without it.
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      notice.value = `The token could not be stored (${why}), so this panel stays paired only until it closes.`;
    }
  }

  /** Tries every address, starting with the last one that answered; the best answer wins. */
  async function lookWith(token: string | undefined): Promise<ConnectionState> {
    let best: ConnectionState | undefined;
    const denials: CodedError[] = [];
    for (const address of [client.url, ...companions.filter((other) => other !== client.url)]) {
      const candidate = createClient(address, token);
      const found = await meet(candidate, token, denials);
      if (!found || (best && found.kind !== 'connected')) continue;
      client = candidate;
      best = found;
      if (found.kind === 'connected') break;
    }
    if (best) return best;
    // If one name is denied and the other just silent, the companion may not be running: report both.
    const isDenied = denials.length === companions.length;
    const error = isDenied ? denials[0]! : ((await explainSilence?.()) ?? nowhere(companions, denials[0]));
    return { kind: 'gone', error };
  }

  async function check(): Promise<void> {
    clearTimeout(timer);
    state.value = await look();
    if (stopped) return;
    if (state.value.kind === 'gone') {
      timer = setTimeout(check, retry);
      retry = Math.min(retry * 2, longestRetry);
    } else {
      retry = shortestRetry;
      timer = setTimeout(check, millisecondsBetweenChecks);
    }
  }

  return {
    state,
    notice,
    client: (): Client => client,
    dismissNotice(): void {
      notice.value = '';
    },

    /** Looks now and keeps looking. Returns its own release. */
    start(): () => void {
      stopped = false;
      void check();
      return () => {
        stopped = true;
        clearTimeout(timer);
      };
    },

    /**
     * Connects with a token, from pairing or typed in, and stores it once accepted.
     * @throws CodedError `token-wrong` if the companion rejects it; the previous token then stays in use
     */
    async useToken(given: string): Promise<void> {
      offered = given;
      refusal = undefined;
      state.value = { kind: 'connecting' };
      await check();
      if (kept !== given && offered !== given) throw refusal ?? notAccepted();
    },
  };
}

function notAccepted(): CodedError {
  return new CodedError('token-wrong', {
    detail: 'The companion does not know this token.',
    remedy: 'Copy the link that the companion printed once more, or ask for a code.',
  });
}

export type Connection = ReturnType<typeof createConnection>;

/**
 * What answers at an address; undefined if nothing does, or if it's another program.
 * @param denials collects the error of a host that doesn't let the panel call this address
 */
async function meet(
  client: Client,
  token: string | undefined,
  denials: CodedError[],
): Promise<ConnectionState | undefined> {
  let health: Health;
  try {
    health = await client.health();
  } catch (thrown) {
    const error = CodedError.from(thrown);
    if (error.code === 'local-access-denied') {
      denials.push(error);
      return undefined;
    }
    // An answer that no companion would give comes from another program.
    const isCompanion = !['companion-gone', 'internal', 'message-invalid'].includes(error.code);
    return isCompanion ? { kind: 'refused', error } : undefined;
  }
  if (health.name !== manifest.name) return undefined;
  if (health.protocol !== manifest.protocol) return { kind: 'refused', error: otherVersion(health) };
  if (token === undefined) return { kind: 'unpaired' };
  try {
    return { kind: 'connected', health, models: await client.models() };
  } catch (thrown) {
    const error = CodedError.from(thrown);
    return error.code === 'companion-gone' ? undefined : { kind: 'refused', error };
  }
}

function otherVersion({ version, protocol }: Health): CodedError {
  const older = !(protocol > manifest.protocol) ? 'companion' : 'panel';
  return new CodedError('version-mismatch', {
    detail: `The companion has version ${version}, this panel ${manifest.version}: they do not understand each other.`,
    remedy: `Bring the ${older} to the version of the other; the older one is the ${older}.`,
  });
}

function nowhere(companions: readonly string[], denial: CodedError | undefined): CodedError {
  const addresses = companions.map((address) => new URL(address));
  const names = [...new Set(addresses.map(({ hostname }) => hostname))].join(' and ');
  const ports = [...new Set(addresses.map(({ port }) => port))];
  const where = ports.length > 1 ? `ports ${ports.join(', ')}` : `port ${ports[0]}`;
  return new CodedError('companion-gone', {
    detail: `No companion answers on this machine (${names}, ${where}).${denial ? ` ${denial.detail}` : ''}`,
    remedy: 'Start it with "npm start" and leave its window open. The panel finds it by itself.',
  });
}
