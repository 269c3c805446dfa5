import { signal } from '@preact/signals';
import { moved } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { Bounds, EditEvent, EditResult, Stage } from '../../../shared/events.ts';
import { encodeEdit } from '../client/body.ts';
import type { Client } from '../client/client.ts';
import type { Host, Placement } from '../host.ts';
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
  | { readonly kind: 'done'; readonly variants: readonly Placement[]; readonly chosen: number }
  | { readonly kind: 'failed'; readonly error: CodedError }
  | { readonly kind: 'cancelled' };

type Running = Extract<SessionState, { kind: 'running' }>;

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
  /** The edit that may still change the state; an older one finds that it is not and stops. */
  let current: { readonly id: string } | undefined;

  const isBusy = (): boolean => ['capturing', 'queued', 'running'].includes(state.value.kind);

  async function run(seed?: number): Promise<void> {
    if (isBusy()) return;
    const edit = { id: newId() };
    current = edit;
    note.value = '';
    state.value = { kind: 'capturing' };
    try {
      const capture = await host.capture();
      if (current !== edit) return;
      const body = encodeEdit(settings.toRequest(seed), capture, settings.references.value);
      await retried(() => client().put(edit.id, body));
      if (current !== edit) {
        // Cancelled while it was being sent: it must not go on by itself.
        await client().cancel(edit.id);
        return;
      }
      state.value = { kind: 'queued', position: 0 };
      const results = await follow(edit, capture.origin);
      if (results === undefined) return;
      const variants: Placement[] = [];
      for (const recipe of results) {
        const { layer, bounds } = await retried(() => client().result(edit.id, recipe.variant));
        const inDocument = moved(bounds, capture.origin);
        variants.push({ name: layerName(settings.instruction.value), layer, bounds: inDocument, recipe });
      }
      if (current === edit) state.value = { kind: 'done', variants, chosen: 0 };
    } catch (thrown) {
      if (current === edit) state.value = { kind: 'failed', error: CodedError.from(thrown) };
    } finally {
      reconnecting.value = false;
    }
  }

  /** Polls until the edit ends; undefined if it ended without a result. */
  async function follow(
    edit: { readonly id: string },
    origin: { readonly left: number; readonly top: number },
  ): Promise<readonly EditResult[] | undefined> {
    let after = 0;
    while (current === edit) {
      const poll = await retried(() => client().poll(edit.id, after, secondsToWait));
      if (current !== edit) return undefined;
      after = poll.next;
      for (const event of poll.events) {
        if (event.type === 'done') return event.results;
        if (event.type === 'failed') throw CodedError.fromProblem(event.problem);
        if (event.type === 'cancelled') {
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
        note.value = event.text;
        break;
      case 'stage':
        state.value = {
          ...running(state.value),
          stage: event.stage,
          variant: event.variant,
          variants: event.variants,
        };
        break;
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

  async function retried<T>(attempt: () => Promise<T>): Promise<T> {
    for (const delay of retryDelays) {
      try {
        const value = await attempt();
        reconnecting.value = false;
        return value;
      } catch (thrown) {
        if (!(thrown instanceof CodedError) || thrown.code !== 'companion-gone') throw thrown;
        reconnecting.value = true;
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
    return attempt();
  }

  return {
    state,
    note,
    reconnecting,
    run,

    /** Runs the same request again with another seed. */
    runAgain: (): Promise<void> => {
      state.value = { kind: 'idle' };
      return run(Math.floor(Math.random() * 2 ** 32));
    },

    async cancel(): Promise<void> {
      const edit = current;
      if (!isBusy() || !edit) return;
      current = undefined;
      const sent = state.value.kind !== 'capturing';
      state.value = { kind: 'cancelled' };
      // Where the companion is gone or has just finished there is nothing left to cancel.
      if (sent) await client().cancel(edit.id).catch(CodedError.from);
    },

    choose(variant: number): void {
      const shown = state.value;
      if (shown.kind === 'done' && shown.variants[variant]) state.value = { ...shown, chosen: variant };
    },

    /** Places the chosen variant into the document. */
    async keep(): Promise<void> {
      const shown = state.value;
      if (shown.kind !== 'done') return;
      state.value = { kind: 'idle' };
      try {
        await host.place(shown.variants[shown.chosen]!);
      } catch (thrown) {
        state.value = { kind: 'failed', error: CodedError.from(thrown) };
      }
    },

    /** Puts the result, the error or the note of a cancelled edit away. */
    discard(): void {
      if (!isBusy()) state.value = { kind: 'idle' };
    },

    /** Shows an error that did not come from an edit, such as a picture that cannot be opened. */
    fail(thrown: unknown): void {
      if (!isBusy()) state.value = { kind: 'failed', error: CodedError.from(thrown) };
    },
  };
}

export type Session = ReturnType<typeof createSession>;

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
