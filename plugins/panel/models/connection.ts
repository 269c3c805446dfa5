import { signal } from '@preact/signals';
import manifest from '../../../manifest.json' with { type: 'json' };
import { CodedError } from '../../../shared/errors.ts';
import type { Health, ModelInfo } from '../../../shared/protocol/answers.ts';
import { type Client, createClient } from '../client/client.ts';
import type { Host } from '../host.ts';

export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected'; readonly health: Health; readonly models: readonly ModelInfo[] }
  /** Was or is not there; it is looked for again by itself. */
  | { readonly kind: 'gone'; readonly error: CodedError }
  /** It is there, and this panel has no token yet. */
  | { readonly kind: 'unpaired' }
  /** It answers, but not to this panel. */
  | { readonly kind: 'refused'; readonly error: CodedError };

const millisecondsBetweenChecks = 5000;
const shortestRetry = 500;
const longestRetry = 8000;
const tokenKey = 'token';

/** Finds the companion on the addresses of the host, and watches whether it answers and takes the token. */
export function createConnection({
  companions,
  storage,
  explainSilence,
}: Pick<Host, 'companions' | 'storage' | 'explainSilence'>) {
  const state = signal<ConnectionState>({ kind: 'connecting' });
  let token: string | undefined;
  let client = createClient(companions[0]!, token);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retry = shortestRetry;
  let stopped = false;

  /** Looks at every address, first at the one that answered before; the best answer counts. */
  async function look(): Promise<ConnectionState> {
    token ??= (await storage.get(tokenKey)) || undefined;
    let best: ConnectionState | undefined;
    for (const address of [client.url, ...companions.filter((other) => other !== client.url)]) {
      const candidate = createClient(address, token);
      const found = await meet(candidate, token);
      if (!found || (best && found.kind !== 'connected')) continue;
      client = candidate;
      best = found;
      if (found.kind === 'connected') break;
    }
    return best ?? { kind: 'gone', error: (await explainSilence?.()) ?? nowhere(companions) };
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
    client: (): Client => client,

    /** Looks now, and from then on by itself. Returns its own release. */
    start(): () => void {
      stopped = false;
      void check();
      return () => {
        stopped = true;
        clearTimeout(timer);
      };
    },

    /** Takes a token, from a pairing or typed in, keeps it and connects with it. */
    async useToken(given: string): Promise<void> {
      token = given;
      await storage.set(tokenKey, given);
      state.value = { kind: 'connecting' };
      await check();
    },
  };
}

export type Connection = ReturnType<typeof createConnection>;

/** What answers at an address; undefined where nothing does, or another program. */
async function meet(client: Client, token: string | undefined): Promise<ConnectionState | undefined> {
  let health: Health;
  try {
    health = await client.health();
  } catch (thrown) {
    const error = CodedError.from(thrown);
    // What says nothing that a companion says is another program.
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

function nowhere(companions: readonly string[]): CodedError {
  const [first, ...others] = companions.map((address) => new URL(address));
  const ports = [first!.port, ...others.map(({ port }) => port)];
  const where = ports.length > 1 ? `ports ${ports.join(', ')}` : `port ${ports[0]}`;
  return new CodedError('companion-gone', {
    detail: `No companion answers on this machine (${first!.hostname}, ${where}).`,
    remedy: 'Start it with "npm start" and leave its window open. The panel finds it by itself.',
  });
}
