/**
 * Recent results of something slow that is often needed again, such as for the same edit with another seed.
 */
export class LRUCache<Key, Result> {
  readonly #capacity: number;
  readonly #isSame: (a: Key, b: Key) => boolean;
  /** Most recent first. */
  #known: readonly { readonly key: Key; readonly result: Result }[] = [];

  constructor(capacity: number, isSame: (a: Key, b: Key) => boolean) {
    this.#capacity = capacity;
    this.#isSame = isSame;
  }

  async get(key: Key, compute: () => Promise<Result>): Promise<Result> {
    const found = this.#known.find((known) => this.#isSame(known.key, key));
    const entry = found ?? { key, result: await compute() };
    this.#known = [entry, ...this.#known.filter((known) => known !== found)].slice(0, this.#capacity);
    return entry.result;
  }
}
