import { CodedError, type ErrorCode } from '../../shared/errors.ts';

/**
 * Functions one side offers the other: one argument, one result, both made of plain values and Uint8Arrays.
 */
type Offer = { readonly [name: string]: (input: never) => Promise<unknown> };

export type Message =
  | { readonly kind: 'call'; readonly id: number; readonly name: string; readonly input: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | {
      readonly kind: 'failure';
      readonly id: number;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly remedy: string;
    }
  | { readonly kind: 'event'; readonly name: string; readonly value: unknown };

export type Send = (message: Message) => void;

/** The serving side: answers each call with the named function's result, or with its error. */
export function serve(offer: Offer, send: Send): (message: Message) => void {
  return async (message) => {
    if (message.kind !== 'call') return;
    const { id, name, input } = message;
    try {
      const asked = offer[name] as ((input: unknown) => Promise<unknown>) | undefined;
      if (!asked) throw new Error(`nothing is named "${name}"`);
      send({ kind: 'answer', id, value: await asked(input) });
    } catch (thrown) {
      const { code, detail, remedy } = CodedError.from(thrown);
      send({ kind: 'failure', id, code, detail, remedy });
    }
  };
}

/** The calling side. `Calls` types what the other side serves, `Events` what it sends unprompted. */
export function connect<
  Calls extends { [Name in keyof Calls]: (input: never) => Promise<unknown> },
  Events extends object,
>(send: Send) {
  const waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: CodedError) => void }
  >();
  const listeners = new Map<string, Set<(value: never) => void>>();
  let count = 0;

  return {
    receive(message: Message): void {
      if (message.kind === 'event') {
        for (const listener of listeners.get(message.name) ?? []) listener(message.value as never);
      } else if (message.kind !== 'call') {
        const asked = waiting.get(message.id);
        waiting.delete(message.id);
        if (message.kind === 'answer') asked?.resolve(message.value);
        else asked?.reject(new CodedError(message.code, message));
      }
    },

    /** @throws CodedError the other side's error */
    call<Name extends keyof Calls & string>(
      name: Name,
      input: Parameters<Calls[Name]>[0],
    ): ReturnType<Calls[Name]> {
      const id = ++count;
      const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
      send({ kind: 'call', id, name, input });
      return answer as ReturnType<Calls[Name]>;
    },

    /** Returns its own release. */
    on<Name extends keyof Events & string>(name: Name, listener: (value: Events[Name]) => void): () => void {
      const known = listeners.get(name) ?? new Set();
      listeners.set(name, known.add(listener));
      return () => known.delete(listener);
    },
  };
}
