import type { EditEvent, EditEventBody } from '../../shared/protocol/events.ts';
import type { Store } from './store.ts';

/**
 * If a companion is killed, it may have sent events it hadn't written yet, numbered up to this far above the
 * last one on disk. The next companion skips those numbers; otherwise a panel would take new events for ones
 * it has seen.
 */
const numbersLeftOut = 100;

/** The events of an unfinished edit: numbered, written in order, and awaited by polls. */
export class LiveEdit {
  readonly id: string;
  /**
   * Until it is on disk it can't be cancelled, because its folder is still being made. Resolves on failure
   * too.
   */
  stored: Promise<void> = Promise.resolve();
  readonly #store: Store;
  readonly #log: (text: string, error: unknown) => void;
  readonly #events: EditEvent[];
  #seq: number;
  #position: number | undefined;
  #written: Promise<void> = Promise.resolve();
  readonly #waiting = new Set<() => void>();

  /** @param earlier events from the previous companion */
  constructor(
    id: string,
    store: Store,
    log: (text: string, error: unknown) => void,
    earlier: readonly EditEvent[] = [],
  ) {
    this.id = id;
    this.#store = store;
    this.#log = log;
    this.#events = [...earlier];
    this.#seq = earlier.length === 0 ? 0 : this.last + numbersLeftOut;
  }

  after(seq: number): readonly EditEvent[] {
    return this.#events.filter((event) => event.seq > seq);
  }

  get last(): number {
    return this.#events.at(-1)?.seq ?? 0;
  }

  tell(body: EditEventBody): void {
    const event = this.#stamp(body);
    this.#written = this.#write(event);
    this.show(event);
  }

  /** Reports how many edits are ahead of it, if that has changed. */
  tellPosition(position: number): void {
    if (position === this.#position) return;
    this.#position = position;
    this.tell({ type: 'queued', position });
  }

  /** Writes the last event without showing it yet: how the edit ended must be stored first. */
  async writeLast(body: EditEventBody): Promise<EditEvent> {
    const event = this.#stamp(body);
    await this.#write(event);
    return event;
  }

  show(event: EditEvent): void {
    if (event.type === 'step' && event.preview) this.#dropPreviews();
    this.#events.push(event);
    this.wake();
  }

  /** Wakes all waiting polls, whether or not there is an event. */
  wake(): void {
    for (const answer of [...this.#waiting]) answer();
  }

  /**
   * Resolves when there is an event after `seq`, the time is up, or the client has gone. We use our own timer
   * and clear it: on Node 20, the one in `AbortSignal.timeout` can be garbage-collected inside
   * `AbortSignal.any` (nodejs/node issue 54614).
   */
  async waitFor(seq: number, seconds: number, gone: AbortSignal): Promise<void> {
    if (this.last > seq || gone.aborted || seconds <= 0) return;
    await new Promise<void>((resolve) => {
      const answer = (): void => {
        clearTimeout(timer);
        gone.removeEventListener('abort', answer);
        this.#waiting.delete(answer);
        resolve();
      };
      const timer = setTimeout(answer, seconds * 1000);
      gone.addEventListener('abort', answer, { once: true });
      this.#waiting.add(answer);
    });
  }

  #stamp(body: EditEventBody): EditEvent {
    this.#seq++;
    return { seq: this.#seq, time: new Date().toISOString(), ...body };
  }

  async #write(event: EditEvent): Promise<void> {
    await this.#written;
    try {
      await this.#store.append(this.id, event);
    } catch (error) {
      // The edit itself can go on: waiting polls are answered from memory.
      this.#log(`An event of the edit ${this.id} could not be written.`, error);
    }
  }

  /** Only the newest preview is worth its memory. */
  #dropPreviews(): void {
    for (const [i, event] of this.#events.entries()) {
      if (event.type !== 'step' || !event.preview) continue;
      const { preview: _, previewBounds: __, ...rest } = event;
      this.#events[i] = rest;
    }
  }
}
