import { signal } from '@preact/signals';
import { moved } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { EditResult } from '../../../shared/protocol/result.ts';
import type { Client } from '../client/client.ts';
import type { Placement } from '../host.ts';
import type { PendingEdit } from './pending.ts';
import { afterEvent, type SessionState } from './session-state.ts';

const secondsToWait = 20;
/** Milliseconds between retries while the companion doesn't answer; after the last one the edit fails. */
const retryDelays = [250, 500, 1000, 2000, 4000];

/** An edit as sent. Without its body, as after a panel restart, it can only be followed. */
export interface SentEdit {
  readonly pending: PendingEdit;
  readonly body?: Uint8Array<ArrayBuffer>;
}

export interface RunParts {
  readonly client: () => Client;
  readonly newId: () => string;
  /** Stores an edit, before it is sent, for a panel that opens later. */
  readonly keep: (edit: SentEdit) => Promise<void>;
}

/**
 * One edit and what the panel shows of it. Each run has its own signals and the session shows those of the
 * latest run, so a dropped run's late writes are never seen. `during` stops a dropped run from continuing at
 * all.
 */
export function createRun({ client, newId, keep }: RunParts, initial: SessionState, initialNote = '') {
  const state = signal(initial);
  const note = signal(initialNote);
  /** True while the companion doesn't answer. */
  const reconnecting = signal(false);
  /** The edit's ID, once the companion may know it. */
  let editID: string | undefined;
  let upload: Promise<void> | undefined;
  let drop: (reason: Dropped) => void = () => {};
  const dropped = new Promise<never>((_, reject) => {
    drop = reject;
  });
  dropped.catch(() => {});

  /** Awaits `work` on behalf of the run. Code after it is never reached once the run is dropped. */
  function during<T>(work: Promise<T>): Promise<T> {
    return Promise.race([dropped, work]);
  }

  function addNote(text: string): void {
    note.value = [note.value, text].filter(Boolean).join(' ');
  }

  /** Calls the companion, and retries while it doesn't answer. */
  async function call<T>(request: (client: Client) => Promise<T>): Promise<T> {
    for (const delay of retryDelays) {
      try {
        const answer = await during(request(client()));
        reconnecting.value = false;
        return answer;
      } catch (thrown) {
        if (!(thrown instanceof CodedError) || thrown.code !== 'companion-gone') throw thrown;
        reconnecting.value = true;
        await during(new Promise((resolve) => setTimeout(resolve, delay)));
      }
    }
    return during(request(client()));
  }

  async function send(sent: Required<SentEdit>): Promise<void> {
    const { pending, body } = sent;
    editID = pending.id;
    await during(keep(sent));
    await call((companion) => {
      upload = companion.put(pending.id, body);
      return upload;
    });
    state.value = { kind: 'queued', position: 0 };
  }

  /** Follows an edit to its end and fetches its layers; undefined if the companion cancelled it. */
  async function finish(sent: SentEdit): Promise<readonly Placement[] | undefined> {
    const { pending, body } = sent;
    editID = pending.id;
    let results: readonly EditResult[] | undefined;
    try {
      results = await follow(pending);
    } catch (thrown) {
      const isLost =
        thrown instanceof LostEdit || (thrown instanceof CodedError && thrown.code === 'not-found');
      if (!isLost || !body) throw thrown;
      note.value = 'The companion was started again, so the edit runs again from its beginning.';
      const again = { pending: { ...pending, id: newId() }, body };
      await send(again);
      return finish(again);
    }
    if (results === undefined) return undefined;
    const { id, name, request, origin, target } = pending;
    const variants: Placement[] = [];
    for (const recipe of results) {
      const { layer, bounds } = await call((companion) => companion.result(id, recipe.variant));
      variants.push({
        editID: id,
        name,
        layer,
        bounds: moved(bounds, origin),
        recipe,
        request,
        ...(target === undefined ? {} : { target }),
      });
    }
    return variants;
  }

  /** Polls until the edit ends; undefined if it was cancelled. */
  async function follow({ id, origin }: PendingEdit): Promise<readonly EditResult[] | undefined> {
    for (let after = 0; ; ) {
      const { events, next } = await call((companion) => companion.poll(id, after, secondsToWait));
      after = next;
      for (const event of events) {
        if (event.type === 'done') return event.results;
        if (event.type === 'cancelled') return undefined;
        if (event.type === 'failed') {
          if (event.problem.code === 'companion-gone') throw new LostEdit();
          throw CodedError.fromProblem(event.problem);
        }
        if (event.type === 'note') addNote(event.text);
        else state.value = afterEvent(state.value, event, origin);
      }
    }
  }

  return {
    state,
    note,
    reconnecting,
    during,
    addNote,
    send,
    finish,

    /** Ends the run at any point: pending waits throw `Dropped`, and the companion cancels the edit too. */
    async cancel(): Promise<void> {
      drop(new Dropped());
      if (editID === undefined) return;
      const id = editID;
      // If the companion is gone or has just finished, there is nothing left to cancel.
      const cancelEdit = () => client().cancel(id).catch(CodedError.from);
      // An upload still in flight may arrive after this, and its edit would run for nobody.
      void upload?.then(cancelEdit, () => undefined);
      await cancelEdit();
    },
  };
}

export type EditRun = ReturnType<typeof createRun>;

/** Unwinds a dropped run; never leaves this module. */
export class Dropped extends Error {}

/** The companion stopped during the edit, and reports that after its restart. */
class LostEdit extends CodedError {
  constructor() {
    super('engine-died', {
      detail: 'The companion was ended before the edit was done.',
      remedy: 'Run it again.',
    });
  }
}
