import { EventEmitter, once } from 'node:events';
import type { EditEvent, EditEventBody } from '../../shared/protocol/events.ts';
import type { Store } from './store.ts';

/** The events of an edit that is not over yet: numbered, written in order, and waited for. */
export class LiveEdit {
  readonly id: string;
  /** When it is on disk, or cannot be brought there: before that it cannot be cancelled, as its folder is being made. */
  stored: Promise<void> = Promise.resolve();
  readonly #store: Store;
  readonly #log: (text: string) => void;
  readonly #events: EditEvent[] = [];
  #written: Promise<void> = Promise.resolve();
  readonly #shown = new EventEmitter().setMaxListeners(0);

  constructor(id: string, store: Store, log: (text: string) => void) {
    this.id = id;
    this.#store = store;
    this.#log = log;
  }

  after(seq: number): readonly EditEvent[] {
    return this.#events.slice(seq);
  }

  get last(): number {
    return this.#events.length;
  }

  tell(body: EditEventBody): void {
    const event = this.#stamp(body);
    this.#written = this.#write(event);
    this.show(event);
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
    this.#shown.emit('event');
  }

  /** Resolves when there is an event after `seq`, when the seconds are over or when the asker has gone. */
  async waitFor(seq: number, seconds: number, signal: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]);
    while (this.last <= seq && !ended.aborted) {
      await once(this.#shown, 'event', { signal: ended }).catch(() => {});
    }
  }

  #stamp(body: EditEventBody): EditEvent {
    return { seq: this.#events.length + 1, time: new Date().toISOString(), ...body };
  }

  async #write(event: EditEvent): Promise<void> {
    await this.#written;
    try {
      await this.#store.append(this.id, event);
    } catch (error) {
      // The edit itself can go on: who waits for it is told from memory.
      this.#log(`An event of the edit ${this.id} cannot be written: ${(error as Error).message}`);
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
