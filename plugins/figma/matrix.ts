/** An affine map: `x' = m[0][0] x + m[0][1] y + m[0][2]`, and `y'` from the second row. */
export type Matrix = readonly [readonly [number, number, number], readonly [number, number, number]];

export const identity: Matrix = [
  [1, 0, 0],
  [0, 1, 0],
];

export function translation(x: number, y: number): Matrix {
  return [
    [1, 0, x],
    [0, 1, y],
  ];
}

export function scaling(x: number, y: number): Matrix {
  return [
    [x, 0, 0],
    [0, y, 0],
  ];
}

/** Applies the right one first, then the left one. */
export function multiply([[a, c, e], [b, d, f]]: Matrix, [[g, i, k], [h, j, l]]: Matrix): Matrix {
  return [
    [a * g + c * h, a * i + c * j, a * k + c * l + e],
    [b * g + d * h, b * i + d * j, b * k + d * l + f],
  ];
}

/** @throws RangeError if the map is singular: it collapses the plane onto a line */
export function invert([[a, c, e], [b, d, f]]: Matrix): Matrix {
  const determinant = a * d - b * c;
  if (Math.abs(determinant) < 1e-12) throw new RangeError('the map cannot be inverted');
  return [
    [d / determinant, -c / determinant, (c * f - d * e) / determinant],
    [-b / determinant, a / determinant, (b * e - a * f) / determinant],
  ];
}

/** Whether it is a pure translation. */
export function isTranslation([[a, c], [b, d]]: Matrix): boolean {
  const off = Math.abs(a - 1) + Math.abs(c) + Math.abs(b) + Math.abs(d - 1);
  return off < 1e-6;
}
