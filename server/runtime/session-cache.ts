import type { Model } from '../graph/encode.ts';
import { Session, type SessionOptions } from './session.ts';

/** LRU cache of one network's sessions for different sizes. */
export class SessionCache {
  readonly #options: SessionOptions;
  readonly #capacity: number;
  /** Least recently used first. */
  readonly #sessions = new Map<string, Session>();

  constructor(capacity: number, options: SessionOptions) {
    this.#capacity = capacity;
    this.#options = options;
  }

  /** @param kind what the model is built for: its sizes, and anything else that changes the graph */
  async get(kind: readonly (number | string)[], build: () => Model): Promise<Session> {
    const key = JSON.stringify(kind);
    const known = this.#sessions.get(key);
    this.#sessions.delete(key);
    // Release before opening the new one: a GPU may not have memory for both.
    while (!known && this.#sessions.size >= this.#capacity) await this.#releaseOldest();
    const session = known ?? (await Session.open(build(), this.#options));
    this.#sessions.set(key, session);
    return session;
  }

  async release(): Promise<void> {
    while (this.#sessions.size > 0) await this.#releaseOldest();
  }

  async #releaseOldest(): Promise<void> {
    const [oldest] = this.#sessions;
    if (!oldest) return;
    this.#sessions.delete(oldest[0]);
    await oldest[1].release();
  }
}
