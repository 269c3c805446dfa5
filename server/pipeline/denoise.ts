/**
 * Rectified flow from noise to the joined latent, as black-forest-labs/flux does it (sampling.py, `denoise`).
 */
import type { Networks, TransformerStep } from '../models/networks.ts';
import { eulerStep, predictX0 } from '../sampling/euler.ts';
import type { Condition } from './condition.ts';
import { packedChannels } from './packing.ts';

export interface DenoisingStep {
  /** Steps done, from 1. */
  readonly step: number;
  /** The joined latent after this step, packed, [tokens, 64]. */
  readonly latent: Float32Array;
  /** The model's estimate of the final latent, [tokens, 64]. */
  predictX0(): Float32Array;
}

/**
 * Yields after each step.
 * @param sigmas from 1 down to 0, one more than the number of steps
 * @param noise packed, [tokens, 64]
 */
export async function* denoise(
  networks: Networks,
  condition: Condition,
  guide: Pick<TransformerStep, 'conditioning' | 'guidance' | 'adapters' | 'cache'>,
  sigmas: readonly number[],
  noise: Float32Array,
): AsyncGenerator<DenoisingStep, void> {
  let latent = noise;
  for (const [step, sigma] of sigmas.slice(0, -1).entries()) {
    const x = latent;
    const velocity = await networks.velocity({ ...guide, ...withNoise(condition, x), sigma });
    latent = eulerStep(x, velocity, sigma, sigmas[step + 1]!);
    yield { step: step + 1, latent, predictX0: () => predictX0(x, velocity, sigma) };
  }
}

/** Joins the noise and the condition of each token, noise first. The array is reused between steps. */
function withNoise({ input, inChannels, rows, columns }: Condition, noise: Float32Array) {
  for (let token = 0; token < rows * columns; token++) {
    input.set(noise.subarray(token * packedChannels, (token + 1) * packedChannels), token * inChannels);
  }
  return { input, rows, columns };
}
