import type { EditEvent, EditEventBody } from '../../shared/protocol/events.ts';
import type { Store } from './store.ts';

/**
 * Events that were shown and not yet written when a companion was killed may have had numbers up to this above the last
 * one on disk. The next companion leaves those out, or a panel would take new events for ones it has seen.
 */
const numbersLeftOut = 100;

/** The events of an edit that is not over yet: numbered, written in order, and waited for. */
export class LiveEdit {
  readonly id: string;
  /** Until it is on disk it can't be cancelled, as its folder is being made. Resolves also where that fails. */
  stored: Promise<void> = Promise.resolve();
  readonly #store: Store;
  readonly #log: (text: string, error: unknown) => void;
  readonly #events: EditEvent[];
  #seq: number;
  #position: number | undefined;
  #written: Promise<void> = Promise.resolve();
  readonly #waiting = new Set<() => void>();

  /** @param earlier events of the companion before this one */
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

  /** How many edits are before it, where that isn't known yet. */
  tellPosition(position: number): void {
    if (position === this.#position) return;
    this.#position = position;
    this.tell({ type: 'queued', position });
  }

  /** Writes the last event and shows it to nobody yet: how the edit ended is to be kept before that. */
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

  /** Answers all who wait, with an event or without one. */
  wake(): void {
    for (const answer of [...this.#waiting]) answer();
  }

  /**
   * Resolves when there is an event after `seq`, when the seconds are over or when the asker has gone. The timer is ours and
   * is cleared: on Node 20 that of `AbortSignal.timeout` is lost to the garbage collector inside `AbortSignal.any`
   * (nodejs/node issue 54614).
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
      // The edit itself can go on: who waits for it is told from memory.
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
