/** One step of Euler's method along the rectified flow: `x + (sigmaNext - sigma) * velocity`. */
export function eulerStep(
  x: Float32Array,
  velocity: Float32Array,
  sigma: number,
  sigmaNext: number,
): Float32Array {
  const stride = sigmaNext - sigma;
  return x.map((value, i) => value + stride * velocity[i]!);
}

/** The final picture if the velocity stayed constant: `x - sigma * velocity`. */
export function predictX0(x: Float32Array, velocity: Float32Array, sigma: number): Float32Array {
  return x.map((value, i) => value - sigma * velocity[i]!);
}
