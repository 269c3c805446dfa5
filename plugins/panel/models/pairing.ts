import { signal } from '@preact/signals';
import { CodedError } from '../../../shared/errors.ts';
import type { Connection } from './connection.ts';

export type PairingState =
  | { readonly kind: 'idle'; readonly error?: CodedError }
  /** The companion shows six digits for the person to type here. */
  | { readonly kind: 'code'; readonly error?: CodedError }
  | { readonly kind: 'busy' };

/** Gets the companion's token in exchange for the six digits it shows, or takes the token directly. */
export function createPairing(connection: Pick<Connection, 'client' | 'useToken'>) {
  const state = signal<PairingState>({ kind: 'idle' });
  let id: string | undefined;

  async function tokenFor(code: string): Promise<string> {
    if (id === undefined) throw notAsked();
    return connection.client().finishPairing(id, code);
  }

  return {
    state,

    /** Asks the companion to show a code. */
    async ask(): Promise<void> {
      if (state.value.kind === 'busy') return;
      state.value = { kind: 'busy' };
      try {
        id = (await connection.client().startPairing()).id;
        state.value = { kind: 'code' };
      } catch (thrown) {
        state.value = { kind: 'idle', error: CodedError.from(thrown) };
      }
    },

    /** @param text the six digits, with or without spaces, or the token */
    async answer(text: string): Promise<void> {
      const given = text.replaceAll(/\s+/g, '');
      if (given === '' || state.value.kind === 'busy') return;
      const isCode = /^\d{6}$/.test(given);
      state.value = { kind: 'busy' };
      try {
        const token = isCode ? await tokenFor(given) : tokenIn(given);
        id = undefined;
        await connection.useToken(token);
        state.value = { kind: 'idle' };
      } catch (thrown) {
        const error = CodedError.from(thrown);
        const isOver = error.code !== 'pairing-wrong';
        state.value = isOver ? { kind: 'idle', error } : { kind: 'code', error };
      }
    },
  };
}

export type Pairing = ReturnType<typeof createPairing>;

/** Extracts the token, also from the link the companion printed. */
function tokenIn(text: string): string {
  return /#token=([^&\s]+)/.exec(text)?.[1] ?? text;
}

function notAsked(): CodedError {
  return new CodedError('pairing-over', {
    detail: 'The companion was not asked to show a code yet.',
    remedy: 'Press "Show a code", then type the digits that appear in the companion’s window.',
  });
}
