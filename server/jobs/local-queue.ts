import { CodedError } from '../../shared/errors.ts';
import type { Engine } from '../engine/engine.ts';
import { crashedTooOften, type EditQueue, maxCrashes, type QueuedEdit, type QueueListener } from './queue.ts';
import type { EndedLife } from './state.ts';

export interface LocalQueueParts {
  readonly engine: Pick<Engine, 'run' | 'cancel' | 'stop'>;
  readonly listener: QueueListener;
  readonly log: (text: string, error: unknown) => void;
}

/** An in-memory queue for one engine on this machine; the records on disk restore it after a restart. */
export class LocalQueue implements EditQueue {
  readonly #parts: LocalQueueParts;
  readonly #waiting: QueuedEdit[] = [];
  #running: QueuedEdit | undefined;
  /** Set even if the engine doesn't have the edit yet, or has just died. */
  #isCancelled = false;
  /** Resolves when the running edit is over. */
  #work: Promise<void> = Promise.resolve();
  #isClosing = false;

  constructor(parts: LocalQueueParts) {
    this.#parts = parts;
  }

  async add(edit: QueuedEdit): Promise<void> {
    if (this.#running?.id === edit.id || this.#placeOf(edit.id) >= 0) return;
    this.#waiting.push(edit);
    if (this.#running) this.#tellOrder();
    else this.#next();
  }

  async cancel(id: string): Promise<void> {
    if (this.#running?.id === id) {
      this.#isCancelled = true;
      this.#parts.engine.cancel(id);
      return;
    }
    const place = this.#placeOf(id);
    if (place < 0) return;
    this.#waiting.splice(place, 1);
    await this.#report('end', id, () => this.#parts.listener.ended(id, { state: 'cancelled' }));
    this.#tellOrder();
  }

  async move(id: string, position: number): Promise<void> {
    const place = this.#placeOf(id);
    if (place < 0) return;
    const [edit] = this.#waiting.splice(place, 1);
    this.#waiting.splice(position, 0, edit!);
    this.#tellOrder();
  }

  async waiting(): Promise<readonly string[]> {
    return this.#waiting.map(({ id }) => id);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#parts.engine.stop();
    await this.#work;
  }

  #placeOf(id: string): number {
    return this.#waiting.findIndex((edit) => edit.id === id);
  }

  #tellOrder(): void {
    this.#parts.listener.moved(this.#waiting.map(({ id }) => id));
  }

  #next(): void {
    if (this.#running || this.#isClosing) return;
    const edit = this.#waiting.shift();
    if (!edit) return;
    this.#running = edit;
    this.#isCancelled = false;
    this.#tellOrder();
    this.#work = this.#run(edit).then((again) => {
      this.#running = undefined;
      if (again) this.#waiting.unshift(again);
      this.#next();
    });
  }

  /** Never rejects. @returns the edit if it needs to run again */
  async #run(edit: QueuedEdit): Promise<QueuedEdit | undefined> {
    const { engine, listener } = this.#parts;
    const { id, folder } = edit;
    const runs = edit.runs + 1;
    let life: EndedLife;
    try {
      await listener.started(id);
      if (this.#isClosing) return undefined;
      if (this.#isCancelled) throw cancelled();
      const results = await engine.run({ id, folder, runs }, (event) => listener.event(id, event));
      life = { state: 'done', results };
    } catch (thrown) {
      // We stopped the engine under it; it runs again after the restart.
      if (this.#isClosing) return undefined;
      const error = this.#isCancelled ? cancelled() : CodedError.from(thrown);
      if (error.code === 'engine-died' && edit.crashes + 1 < maxCrashes) {
        await this.#report('crash', id, () => listener.crashed(id, error));
        return { ...edit, runs, crashes: edit.crashes + 1 };
      }
      const last = error.code === 'engine-died' ? crashedTooOften(id, error) : error;
      life =
        error.code === 'cancelled' ? { state: 'cancelled' } : { state: 'failed', problem: last.toProblem() };
    }
    await this.#report('end', id, () => listener.ended(id, life));
    return undefined;
  }

  /** A failing report must not stop the edits after it. */
  async #report(what: string, id: string, report: () => Promise<void>): Promise<void> {
    try {
      await report();
    } catch (error) {
      this.#parts.log(`The ${what} of the edit ${id} could not be recorded.`, error);
    }
  }
}

function cancelled(): CodedError {
  return new CodedError('cancelled', { detail: 'The edit was cancelled.', remedy: 'Run it again.' });
}
