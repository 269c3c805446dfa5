/**
 * First-block caching (ParaAttention; huggingface/diffusers, hooks/first_block_cache.py): if the first block changes the picture
 * almost as much as at the last fully computed step, the blocks after it are assumed to do the same.
 */
export class FirstBlockCache {
  readonly #threshold: number;
  /** From the last fully computed step: what the first block added to the image, and what all others added. */
  #change: Float32Array | undefined;
  #remainder: Float32Array | undefined;
  #reused = 0;

  /** @param threshold skip the other blocks up to this relative difference in the first block's change */
  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** Steps that reused the previous one's blocks. */
  get reused(): number {
    return this.#reused;
  }

  /**
   * The image after all blocks, [tokens, D].
   * @param image after the first block, [tokens, D]
   * @param change what the first block added to it
   * @param compute computes the image after all blocks, which is slow
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

/** Mean absolute difference from `before`, relative to the mean absolute value of `before`. */
function relativeDistance(now: Float32Array, before: Float32Array): number {
  let [distance, size] = [0, 0];
  for (let i = 0; i < before.length; i++) {
    distance += Math.abs(before[i]! - now[i]!);
    size += Math.abs(before[i]!);
  }
  return distance / size;
}
