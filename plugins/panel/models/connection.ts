import { signal } from '@preact/signals';
import { CodedError } from '../../../shared/errors.ts';
import type { Client, Health } from '../client/client.ts';

export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected'; readonly health: Health }
  /** Was or is not there; it is looked for again by itself. */
  | { readonly kind: 'gone'; readonly error: CodedError }
  /** It answers, but not to this panel. */
  | { readonly kind: 'refused'; readonly error: CodedError };

const millisecondsBetweenChecks = 5000;
const shortestRetry = 500;
const longestRetry = 8000;

/** Watches whether the companion answers and takes the token. */
export function createConnection(client: () => Client) {
  const state = signal<ConnectionState>({ kind: 'connecting' });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retry = shortestRetry;
  let stopped = false;

  async function check(): Promise<void> {
    clearTimeout(timer);
    state.value = await look(client(), state.value.kind !== 'connected');
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
    /** Looks now, and from then on by itself. Returns its own release. */
    start(): () => void {
      stopped = false;
      void check();
      return () => {
        stopped = true;
        clearTimeout(timer);
      };
    },
  };
}

export type Connection = ReturnType<typeof createConnection>;

async function look(client: Client, withToken: boolean): Promise<ConnectionState> {
  try {
    const health = await client.health();
    if (withToken) await client.checkToken();
    return { kind: 'connected', health };
  } catch (thrown) {
    const error = CodedError.from(thrown);
    return { kind: error.code === 'companion-gone' ? 'gone' : 'refused', error };
  }
}
