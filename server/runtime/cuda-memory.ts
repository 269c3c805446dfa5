/** How ONNX Runtime's CUDA provider takes memory of a GPU, as counted by `npm run measure:cuda`. All in bytes. */

/** CUDA gives each allocation whole pages; small ones share them. */
const page = 2 ** 21;
const firstBlock = 2 ** 20;
const largestBlock = 2 ** 30;

/** The weights of a session on a GPU. */
export interface GPUWeights {
  readonly bytes: number;
  /** Each has pages of its own, and `bytes` counts them; else they lie in the arena, beside what is computed. */
  readonly inPages: boolean;
}

/**
 * Large weights fill their pages, and would leave gaps in the arena's blocks: 24 GB of 16 bits took 26 there. Those of 8 and 4 bits,
 * with their scales, would leave a tenth of their pages empty.
 */
export function gpuWeights(sizes: readonly number[]): GPUWeights {
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const pages = sizes.reduce(
    (sum, size) => sum + (size > page / 2 ? Math.ceil(size / page) * page : size),
    0,
  );
  return pages - bytes < bytes / 100 ? { bytes: pages, inPages: true } : { bytes, inPages: false };
}

/**
 * What a session takes, and keeps until it is released.
 * @param computing the most that is alive at a time besides the weights
 */
export function sessionBytes({ bytes, inPages }: GPUWeights, computing: number): number {
  return inPages ? bytes + arenaBytes(computing) : arenaBytes(bytes + computing);
}

/** The most that a session may compute in, for what it takes to stay within a limit; negative where its weights do not. */
export function computingWithin({ bytes, inPages }: GPUWeights, limit: number): number {
  return inPages ? arenaWithin(limit - bytes) : arenaWithin(limit) - bytes;
}

/** An arena grows by blocks of 1, 2, 4 ... MB, of 1 GB in the end. */
function arenaBytes(needed: number): number {
  let [taken, block] = [0, firstBlock];
  while (taken < needed) {
    taken += block;
    block = Math.min(2 * block, largestBlock);
  }
  return taken;
}

/** The most for which `arenaBytes` stays within a limit. */
function arenaWithin(limit: number): number {
  let [taken, block] = [0, firstBlock];
  while (taken + block <= limit) {
    taken += block;
    block = Math.min(2 * block, largestBlock);
  }
  return limit < 0 ? limit : taken;
}
