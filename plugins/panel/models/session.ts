import { signal } from '@preact/signals';
import type { Bounds } from '../../../shared/bounds.ts';
import { moved } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { EditEvent, Stage } from '../../../shared/protocol/events.ts';
import type { EditResult } from '../../../shared/protocol/result.ts';
import { encodeEdit } from '../client/body.ts';
import type { Client } from '../client/client.ts';
import type { Host, PastEdit, Placement } from '../host.ts';
import { createPendingStore, type PendingEdit } from './pending.ts';
import type { Settings } from './settings.ts';

export interface Preview {
  /** A data URL. */
  readonly url: string;
  /** In document pixels; absent where the companion does not tell. */
  readonly bounds: Bounds | undefined;
}

export type SessionState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'capturing' }
  | { readonly kind: 'queued'; readonly position: number }
  | {
      readonly kind: 'running';
      readonly stage: Stage;
      readonly variant: number;
      readonly variants: number;
      readonly step: number;
      readonly steps: number;
      readonly secondsLeft: number | undefined;
      readonly preview: Preview | undefined;
    }
  | {
      readonly kind: 'done';
      readonly variants: readonly Placement[];
      readonly chosen: number;
      /** Why it could not be placed; it can be tried again. */
      readonly error?: CodedError;
    }
  | { readonly kind: 'placing' }
  | { readonly kind: 'failed'; readonly error: CodedError }
  | { readonly kind: 'cancelled' };

type Running = Extract<SessionState, { kind: 'running' }>;
type Done = Extract<SessionState, { kind: 'done' }>;

const busyKinds: readonly SessionState['kind'][] = ['capturing', 'queued', 'running', 'placing'];

/** Whether an edit is on its way, so that no other can start. */
export function isBusy(state: SessionState): boolean {
  return busyKinds.includes(state.kind);
}

const secondsToWait = 20;
/** Milliseconds between tries while the companion does not answer; after the last one the edit has failed. */
const retryDelays = [250, 500, 1000, 2000, 4000];

export interface SessionParts {
  readonly host: Host;
  readonly settings: Settings;
  readonly client: () => Client;
  readonly newId: () => string;
}

/** One edit at a time, from the capture to the layer that is kept. */
export function createSession({ host, settings, client, newId }: SessionParts) {
  const state = signal<SessionState>({ kind: 'idle' });
  const note = signal('');
  /** True while the companion does not answer in the middle of an edit. */
  const reconnecting = signal(false);
  const store = createPendingStore(host);
  /** The turn that may still change the state; an older one finds that it is not and stops. */
  let current: { pending?: PendingEdit } | undefined;
  /** The edit that has neither ended nor been given up, also where the host keeps none. */
  let unfinished: PendingEdit | undefined;
  /** What it was sent as: where the companion lost it, it is sent again. */
  let sent: { readonly id: string; readonly body: Uint8Array<ArrayBuffer> } | undefined;

  /** @param again runs what was run last, with this seed */
  async function run(again?: { readonly seed: number }): Promise<void> {
    if (isBusy(state.value)) return;
    note.value = '';
    state.value = { kind: 'capturing' };
    unfinished = undefined;
    sent = undefined;
    await takeTurn(async (turn) => {
      const capture = await host.capture(again !== undefined);
      if (current !== turn) return;
      note.value = capture.note ?? '';
      const request = settings.toRequest(again?.seed);
      const body = encodeEdit(request, capture, settings.references.value);
      turn.pending = {
        id: newId(),
        name: layerName(request.instruction),
        request,
        origin: { left: capture.origin.left, top: capture.origin.top },
        ...(capture.target === undefined ? {} : { target: capture.target }),
      };
      await send(turn, turn.pending, body);
      const done = await finish(turn, turn.pending);
      if (!done) return;
      state.value = done;
      if (host.placesAtOnce) await place(done, false);
    });
  }

  /** Goes on with an edit that the panel, or the companion, was closed over. */
  async function resume(): Promise<void> {
    if (isBusy(state.value) || state.value.kind === 'done') return;
    const pending = (await store.read()) ?? unfinished;
    if (!pending || isBusy(state.value)) return;
    state.value = { kind: 'queued', position: 0 };
    await takeTurn(async (turn) => {
      turn.pending = pending;
      const done = await finish(turn, pending);
      if (!done) return;
      note.value = 'This edit was ready while the panel was away.';
      state.value = done;
    });
  }

  async function takeTurn(work: (turn: { pending?: PendingEdit }) => Promise<void>): Promise<void> {
    const turn = {};
    current = turn;
    try {
      await work(turn);
    } catch (thrown) {
      if (current !== turn) return;
      const error = CodedError.from(thrown);
      // Where the companion is away, the edit may still come to its end there.
      if (error.code !== 'companion-gone') await forget();
      state.value = { kind: 'failed', error };
    } finally {
      if (current === turn) reconnecting.value = false;
    }
  }

  async function send(turn: object, pending: PendingEdit, body: Uint8Array<ArrayBuffer>): Promise<void> {
    unfinished = pending;
    sent = { id: pending.id, body };
    await store.keep(pending);
    await retried(turn, () => client().put(pending.id, body));
    if (current !== turn) {
      // Cancelled while it was being sent: it must not go on by itself.
      await client().cancel(pending.id);
      return;
    }
    state.value = { kind: 'queued', position: 0 };
  }

  /** Follows an edit to its end and fetches its layers; undefined if it ended without. */
  async function finish(turn: { pending?: PendingEdit }, pending: PendingEdit): Promise<Done | undefined> {
    let results: readonly EditResult[] | undefined;
    try {
      results = await follow(turn, pending);
    } catch (thrown) {
      const isLost =
        thrown instanceof CodedError && (thrown instanceof LostEdit || thrown.code === 'not-found');
      if (!isLost || sent?.id !== pending.id || current !== turn) throw thrown;
      const { body } = sent;
      note.value = 'The companion was started again, so the edit runs again from its beginning.';
      turn.pending = { ...pending, id: newId() };
      await send(turn, turn.pending, body);
      return finish(turn, turn.pending);
    }
    if (results === undefined) return undefined;
    sent = undefined;
    const variants: Placement[] = [];
    for (const recipe of results) {
      const { layer, bounds } = await retried(turn, () => client().result(pending.id, recipe.variant));
      const { name, request, origin, target } = pending;
      variants.push({
        editID: pending.id,
        name,
        layer,
        bounds: moved(bounds, origin),
        recipe,
        request,
        ...(target === undefined ? {} : { target }),
      });
    }
    return current === turn ? { kind: 'done', variants, chosen: 0 } : undefined;
  }

  /** Polls until the edit ends; undefined if it ended without a result. */
  async function follow(
    turn: object,
    { id, origin }: PendingEdit,
  ): Promise<readonly EditResult[] | undefined> {
    let after = 0;
    while (current === turn) {
      const poll = await retried(turn, () => client().poll(id, after, secondsToWait));
      if (current !== turn) return undefined;
      after = poll.next;
      for (const event of poll.events) {
        if (event.type === 'done') return event.results;
        if (event.type === 'failed') {
          if (event.problem.code === 'companion-gone') throw new LostEdit();
          throw CodedError.fromProblem(event.problem);
        }
        if (event.type === 'cancelled') {
          await forget();
          state.value = { kind: 'cancelled' };
          return undefined;
        }
        apply(event, origin);
      }
    }
    return undefined;
  }

  function apply(event: EditEvent, origin: { readonly left: number; readonly top: number }): void {
    switch (event.type) {
      case 'queued':
        state.value = { kind: 'queued', position: event.position };
        break;
      case 'note':
        note.value = note.value === '' ? event.text : `${note.value} ${event.text}`;
        break;
      case 'stage': {
        const before = running(state.value);
        state.value = {
          ...before,
          stage: event.stage,
          variant: event.variant,
          variants: event.variants,
          secondsLeft: event.secondsLeft ?? before.secondsLeft,
        };
        break;
      }
      case 'step': {
        const before = running(state.value);
        state.value = {
          ...before,
          stage: 'denoising',
          variant: event.variant,
          variants: event.variants,
          step: event.step,
          steps: event.steps,
          secondsLeft: event.secondsLeft,
          preview: event.preview
            ? {
                url: `data:image/jpeg;base64,${event.preview}`,
                bounds: event.previewBounds && moved(event.previewBounds, origin),
              }
            : before.preview,
        };
        break;
      }
    }
  }

  async function retried<T>(turn: object, attempt: () => Promise<T>): Promise<T> {
    for (const delay of retryDelays) {
      try {
        const value = await attempt();
        if (current === turn) reconnecting.value = false;
        return value;
      } catch (thrown) {
        const isAway = thrown instanceof CodedError && thrown.code === 'companion-gone';
        if (!isAway || current !== turn) throw thrown;
        reconnecting.value = true;
        await new Promise((resolve) => setTimeout(resolve, delay));
        if (current !== turn) throw thrown;
      }
    }
    return attempt();
  }

  async function forget(): Promise<void> {
    unfinished = undefined;
    sent = undefined;
    await store.forget();
  }

  async function place(done: Done, isKept: boolean): Promise<void> {
    state.value = { kind: 'placing' };
    try {
      const report = (text: string): void => {
        note.value = note.value === '' ? text : `${note.value} ${text}`;
      };
      await host.place(done.variants, done.chosen, { report, isKept });
      state.value = { kind: 'idle' };
      await forget();
    } catch (thrown) {
      state.value = { ...done, error: CodedError.from(thrown) };
    }
  }

  return {
    state,
    note,
    reconnecting,
    run: (): Promise<void> => run(),
    resume,
    history: (editID: string): Promise<PastEdit | undefined> => client().history(editID),

    /** Runs the same request again with another seed. */
    runAgain: (): Promise<void> => {
      state.value = { kind: 'idle' };
      return run({ seed: Math.floor(Math.random() * 2 ** 32) });
    },

    async cancel(): Promise<void> {
      const turn = current;
      const { kind } = state.value;
      if (!turn || !isBusy(state.value) || kind === 'placing') return;
      current = undefined;
      state.value = { kind: 'cancelled' };
      reconnecting.value = false;
      await forget();
      // Where the companion is gone or has just finished there is nothing left to cancel.
      if (turn.pending) await client().cancel(turn.pending.id).catch(CodedError.from);
    },

    choose(variant: number): void {
      const shown = state.value;
      if (shown.kind === 'done' && shown.variants[variant]) state.value = { ...shown, chosen: variant };
    },

    /** Brings the result into the document. */
    async keep(): Promise<void> {
      if (state.value.kind === 'done') await place(state.value, true);
    },

    /** Puts the result, the error or the note of a cancelled edit away. */
    discard(): void {
      if (isBusy(state.value)) return;
      state.value = { kind: 'idle' };
      note.value = '';
      void forget();
    },

    /** Shows an error that did not come from an edit, such as a picture that cannot be opened: beside the edit, if there is one. */
    fail(thrown: unknown): void {
      const error = CodedError.from(thrown);
      const shown = state.value;
      if (shown.kind === 'done') state.value = { ...shown, error };
      else if (isBusy(shown)) note.value = `${error.detail} ${error.remedy}`;
      else state.value = { kind: 'failed', error };
    },
  };
}

export type Session = ReturnType<typeof createSession>;

/** The companion ended in the middle of the edit, and says so now that it runs again. */
class LostEdit extends CodedError {
  constructor() {
    super('engine-died', {
      detail: 'The companion was ended before the edit was done.',
      remedy: 'Run it again.',
    });
  }
}

function running(state: SessionState): Running {
  return state.kind === 'running'
    ? state
    : {
        kind: 'running',
        stage: 'loading',
        variant: 0,
        variants: 1,
        step: 0,
        steps: 0,
        secondsLeft: undefined,
        preview: undefined,
      };
}

function layerName(instruction: string): string {
  const text = instruction.trim().replaceAll(/\s+/g, ' ');
  if (text === '') return 'Edit';
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
