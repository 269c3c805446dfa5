import { computed, signal } from '@preact/signals';
import { CodedError } from '../../../shared/errors.ts';
import type { EditSummary } from '../../../shared/protocol/answers.ts';
import { encodeEdit } from '../client/body.ts';
import type { Client } from '../client/client.ts';
import type { Host, Placement } from '../host.ts';
import { createRun, Dropped, type EditRun, type SentEdit } from './edit-run.ts';
import { createPendingStore } from './pending.ts';
import { type Done, isBusy, type SessionState } from './session-state.ts';
import type { Settings } from './settings.ts';

export interface SessionParts {
  readonly host: Host;
  readonly settings: Settings;
  readonly client: () => Client;
  readonly newId: () => string;
}

/** One edit at a time, from capture to kept layer. */
export function createSession({ host, settings, client, newId }: SessionParts) {
  const store = createPendingStore(host);
  /** The edit that has neither ended nor been abandoned, even if the host stores none. */
  let unfinished: SentEdit | undefined;
  const parts = {
    client,
    newId,
    keep: (edit: SentEdit): Promise<void> => {
      unfinished = edit;
      return store.keep(edit.pending);
    },
  };
  const newRun = (initial: SessionState, note?: string): EditRun => createRun(parts, initial, note);
  /** The run on display. A new run replaces it as a whole. */
  const current = signal(newRun({ kind: 'idle' }));
  const state = computed(() => current.value.state.value);

  async function forget(): Promise<void> {
    unfinished = undefined;
    await store.forget();
  }

  /** Shows a run and how it ends. Returns its results, if any. */
  async function show(
    run: EditRun,
    work: () => Promise<readonly Placement[] | undefined>,
  ): Promise<Done | undefined> {
    current.value = run;
    try {
      const variants = await work();
      if (variants) {
        // The body, which may be large, is no longer needed.
        if (unfinished) unfinished = { pending: unfinished.pending };
        const done = { kind: 'done', variants, chosen: 0 } as const;
        run.state.value = done;
        return done;
      }
      await forget();
      run.state.value = { kind: 'cancelled' };
    } catch (thrown) {
      if (thrown instanceof Dropped) return undefined;
      const error = CodedError.from(thrown);
      // If the companion is unreachable, the edit may still finish there.
      if (error.code !== 'companion-gone') await forget();
      run.reconnecting.value = false;
      run.state.value = { kind: 'failed', error };
    }
    return undefined;
  }

  /** @param again reruns the last request with this seed */
  async function start(again?: { readonly seed: number }): Promise<void> {
    if (isBusy(state.value)) return;
    unfinished = undefined;
    const run = newRun({ kind: 'capturing' });
    const done = await show(run, async () => {
      const capture = await run.during(host.capture(again !== undefined));
      run.addNote(capture.note ?? '');
      const request = settings.toRequest(again?.seed);
      const { left, top } = capture.origin;
      const pending = {
        id: newId(),
        name: layerName(request.instruction),
        request,
        origin: { left, top },
        ...(capture.target === undefined ? {} : { target: capture.target }),
      };
      const edit = { pending, body: encodeEdit(request, capture, settings.references.value) };
      await run.send(edit);
      return run.finish(edit);
    });
    if (done && host.capabilities.results === 'placed') await place(run, done, false);
  }

  async function place(run: EditRun, done: Done, isKept: boolean): Promise<void> {
    run.state.value = { kind: 'placing' };
    try {
      await host.place(done.variants, done.chosen, { report: run.addNote, isKept });
      run.state.value = { kind: 'idle' };
      await forget();
    } catch (thrown) {
      run.state.value = { ...done, error: CodedError.from(thrown) };
    }
  }

  function end(note: string): void {
    if (isBusy(state.value)) return;
    current.value = newRun({ kind: 'idle' }, note);
    void forget();
  }

  return {
    state,
    note: computed(() => current.value.note.value),
    /** True while the companion doesn't answer during an edit. */
    reconnecting: computed(() => current.value.reconnecting.value),
    run: (): Promise<void> => start(),
    history: (editID: string): Promise<EditSummary | undefined> => client().history(editID),

    /** Reruns the request with another seed. */
    runAgain: (): Promise<void> => start({ seed: Math.floor(Math.random() * 2 ** 32) }),

    /** Resumes an edit that was interrupted when the panel or the companion closed. */
    async resume(): Promise<void> {
      const isTaken = (): boolean => isBusy(state.value) || state.value.kind === 'done';
      if (isTaken()) return;
      const pending = (await store.read()) ?? unfinished?.pending;
      if (!pending || isTaken()) return;
      const edit = unfinished?.pending.id === pending.id ? unfinished : { pending };
      const run = newRun({ kind: 'queued', position: 0 }, current.value.note.value);
      await show(run, async () => {
        const variants = await run.finish(edit);
        if (variants) run.note.value = 'This edit was ready while the panel was away.';
        return variants;
      });
    },

    async cancel(): Promise<void> {
      const run = current.value;
      if (!isBusy(state.value) || state.value.kind === 'placing') return;
      current.value = newRun({ kind: 'cancelled' }, run.note.value);
      await Promise.all([forget(), run.cancel()]);
    },

    choose(variant: number): void {
      const shown = state.value;
      if (shown.kind === 'done' && shown.variants[variant]) {
        current.value.state.value = { ...shown, chosen: variant };
      }
    },

    /** Places the result in the document. */
    async keep(): Promise<void> {
      if (state.value.kind === 'done') await place(current.value, state.value, true);
    },

    /** Dismisses the result, the error, or the note about a cancelled edit. */
    discard: (): void => end(''),

    /** Ends an edit whose result was placed by other means than `keep`. */
    finish: (note: string): void => end(note),

    /**
     * Shows an error from outside the edit, such as a picture that won't open, without ending a running edit.
     */
    fail(thrown: unknown): void {
      const error = CodedError.from(thrown);
      const run = current.value;
      const shown = state.value;
      if (shown.kind === 'done') run.state.value = { ...shown, error };
      else if (isBusy(shown)) run.note.value = `${error.detail} ${error.remedy}`;
      else run.state.value = { kind: 'failed', error };
    },
  };
}

export type Session = ReturnType<typeof createSession>;

function layerName(instruction: string): string {
  const text = instruction.trim().replaceAll(/\s+/g, ' ');
  if (text === '') return 'Edit';
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
