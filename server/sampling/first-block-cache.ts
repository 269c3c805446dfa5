/**
 * First-block caching (ParaAttention; huggingface/diffusers, hooks/first_block_cache.py): where the first block changes the
 * picture almost as it did at the last step that was computed whole, all blocks after it are taken to do so too.
 */
export class FirstBlockCache {
  readonly #threshold: number;
  /** Of the last step that was computed whole: what the first block added to the image, and what all others did. */
  #change: Float32Array | undefined;
  #remainder: Float32Array | undefined;
  #reused = 0;

  /** @param threshold the relative change of the first block's change, up to which the others are left out */
  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** Steps that were not computed whole. */
  get reused(): number {
    return this.#reused;
  }

  /**
   * The image after all blocks, [tokens, D].
   * @param image after the first block, [tokens, D]
   * @param change what the first block added to it
   * @param compute the image after all blocks, the slow way
   */
  async after(
    image: Float32Array,
    change: Float32Array,
    compute: () => Promise<Float32Array>,
  ): Promise<Float32Array> {
    if (this.#remainder && this.#change && relativeDistance(change, this.#change) <= this.#threshold) {
      this.#reused++;
      const remainder = this.#remainder;
      return image.map((value, i) => value + remainder[i]!);
    }
    const whole = await compute();
    this.#change = change;
    this.#remainder = whole.map((value, i) => value - image[i]!);
    return whole;
  }
}

/** Mean distance from `before`, beside the mean size of `before`. */
function relativeDistance(now: Float32Array, before: Float32Array): number {
  let [distance, size] = [0, 0];
  for (let i = 0; i < before.length; i++) {
    distance += Math.abs(before[i]! - now[i]!);
    size += Math.abs(before[i]!);
  }
  return distance / size;
}
