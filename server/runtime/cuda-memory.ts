/**
 * How ONNX Runtime's CUDA provider allocates GPU memory, as counted by `npm run measure:cuda`. All in bytes.
 */

/** CUDA rounds each allocation up to whole pages; small ones share a page. */
const page = 2 ** 21;
const firstBlock = 2 ** 20;
const largestBlock = 2 ** 30;

/** The weights of a session on a GPU. */
export interface GPUWeights {
  readonly bytes: number;
  /**
   * Each weight has its own pages, which `bytes` includes; otherwise weights share the arena with the
   * activations.
   */
  readonly inPages: boolean;
}

/**
 * Large weights fill their pages, but would leave gaps in the arena's blocks: 24 GB of 16-bit weights took 26
 * there. 8-bit and 4-bit weights, with their scales, would leave a tenth of their pages empty.
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
 * What a session allocates, and keeps until it is released.
 * @param computing the most that is alive at a time besides the weights
 */
export function sessionBytes({ bytes, inPages }: GPUWeights, computing: number): number {
  return inPages ? bytes + arenaBytes(computing) : arenaBytes(bytes + computing);
}

/**
 * The most activation memory with which a session stays within a limit; negative if its weights alone exceed
 * it.
 */
export function computingWithin({ bytes, inPages }: GPUWeights, limit: number): number {
  return inPages ? arenaWithin(limit - bytes) : arenaWithin(limit) - bytes;
}

/** An arena grows in blocks of 1, 2, 4 ... MB, up to 1 GB each. */
function arenaBytes(needed: number): number {
  let [taken, block] = [0, firstBlock];
  while (taken < needed) {
    taken += block;
    block = Math.min(2 * block, largestBlock);
  }
  return taken;
}

/** The largest need for which `arenaBytes` stays within a limit. */
function arenaWithin(limit: number): number {
  let [taken, block] = [0, firstBlock];
  while (taken + block <= limit) {
    taken += block;
    block = Math.min(2 * block, largestBlock);
  }
  return limit < 0 ? limit : taken;
}
