import { useEffect, useRef } from 'preact/hooks';
import type { PairingState } from '../models/pairing.ts';
import { ErrorNote } from './error-note.tsx';
import { on } from './on.ts';

export interface PairingFormProps {
  readonly state: PairingState;
  /** Asks the companion to show a code. */
  readonly onAsk: () => void;
  /** Submits what was typed: the six digits, or the token. */
  readonly onAnswer: (text: string) => void;
}

/** Pairs the panel with the companion once, by the six digits in its terminal or by its token. */
export function PairingForm({ state, onAsk, onAnswer }: PairingFormProps) {
  const input = useRef<HTMLInputElement>(null);
  const busy = state.kind === 'busy';
  // The button just pressed is gone, and typing comes next.
  useEffect(() => {
    if (state.kind === 'code') input.current?.focus();
  }, [state.kind]);
  const submit = (): void => onAnswer(input.current?.value ?? '');
  return (
    <section class="pairing" aria-label="Pair with the companion">
      <h2 class="field-title">Pair this panel</h2>
      <p class="pairing-words">
        {state.kind === 'code'
          ? 'The companion now shows six digits in its terminal. Type them here.'
          : 'You only do this once: type six digits that the companion shows in its terminal.'}
      </p>
      {!busy && state.error && <ErrorNote error={state.error} />}
      {state.kind !== 'code' && (
        <button class="secondary wide" type="button" disabled={busy} {...on({ click: onAsk })}>
          {busy ? 'Asking the companion…' : 'Show a code'}
        </button>
      )}
      <div class="pairing-row">
        <input
          ref={input}
          class="text-input"
          type="text"
          aria-label="Code or token"
          placeholder={state.kind === 'code' ? '123456' : 'or paste the token'}
          maxLength={200}
          {...on({
            keydown: (event) => {
              if (event.key === 'Enter') submit();
            },
          })}
        />
        <button
          class={state.kind === 'code' ? 'primary' : 'secondary'}
          type="button"
          disabled={busy}
          {...on({ click: submit })}
        >
          Pair
        </button>
      </div>
    </section>
  );
}
