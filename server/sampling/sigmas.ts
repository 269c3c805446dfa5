/** The two published FLUX schedules. Both space sigma evenly before the shift, so they differ only in rounding. */
export type ScheduleName = 'authors' | 'diffusers';

/** The shift's exponent: linear in the joined image's tokens, 0.5 at 256 and 1.15 at 4096 (flux, sampling.py `get_lin_function`). */
export function shiftExponent(tokens: number): number {
  return 0.5 + ((tokens - 256) * (1.15 - 0.5)) / (4096 - 256);
}

/** `e^mu / (e^mu + 1 / sigma - 1)`, divided by e^mu so that 1 stays exactly 1. */
function shifted(sigma: number, mu: number): number {
  return sigma === 0 ? 0 : 1 / (1 + Math.exp(-mu) * (1 / sigma - 1));
}

/**
 * Sigmas from 1 down to 0, `steps + 1` of them.
 * @param tokens of the joined image, references included
 */
export function schedule(name: ScheduleName, steps: number, tokens: number): number[] {
  const mu = shiftExponent(tokens);
  if (name === 'authors') {
    // linspace(1, 0, steps + 1), then shifted: flux, sampling.py `get_schedule`.
    return Array.from({ length: steps + 1 }, (_, i) => shifted(1 - i / steps, mu));
  }
  // linspace(1, 1 / steps, steps), then shifted, then 0: diffusers, `FluxFillPipeline.__call__`.
  const stride = steps > 1 ? (1 - 1 / steps) / (steps - 1) : 0;
  return [...Array.from({ length: steps }, (_, i) => shifted(1 - i * stride, mu)), 0];
}
