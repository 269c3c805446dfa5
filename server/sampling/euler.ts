/** One step of Euler's method along the rectified flow, in place: `x <- x + (sigmaNext - sigma) * velocity`. */
export function eulerStep(x: Float32Array, velocity: Float32Array, sigma: number, sigmaNext: number): void {
  const stride = sigmaNext - sigma;
  for (let i = 0; i < x.length; i++) x[i]! += stride * velocity[i]!;
}

/** What the picture would be if the velocity stayed: `x - sigma * velocity`. */
export function predictX0(x: Float32Array, velocity: Float32Array, sigma: number): Float32Array {
  return x.map((value, i) => value - sigma * velocity[i]!);
}
