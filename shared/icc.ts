/**
 * ICC profiles that are defined by formulas (ICC.1:2022): a curve for grey; a curve per channel and a matrix
 * for RGB, as in sRGB, Adobe RGB, ProPhoto and Display P3. We apply them ourselves in both directions: sharp
 * applies none to 16-bit grey (lovell/sharp#2037, #3114), and when it writes a profile at 16 bits it treats
 * pixels without one as Display P3.
 */

/** Encoded value in [0, 1] to linear light, monotonic. */
type Curve = (value: number) => number;
type Matrix = readonly number[];

export interface GreyProfile {
  readonly space: 'grey';
  readonly toLinear: Curve;
}

export interface RGBProfile {
  readonly space: 'rgb';
  readonly curves: readonly [Curve, Curve, Curve];
  /** Linear RGB to D50 XYZ, by rows. */
  readonly matrix: Matrix;
}

export type FormulaProfile = GreyProfile | RGBProfile;

/** Linear sRGB to XYZ adapted to D50 (ICC's sRGB profile; Lindbloom, "RGB/XYZ Matrices", sRGB D50). */
const sRGBToXYZ: Matrix = [
  0.4360747, 0.3850649, 0.1430804, 0.2225045, 0.7168786, 0.0606169, 0.0139322, 0.0971045, 0.7141733,
];

/** The device colour space of a profile, such as `RGB ` or `GRAY`; undefined if it isn't a profile. */
export function profileSpace(icc: Uint8Array): string | undefined {
  return icc.length >= 132 && text(icc, 36) === 'acsp' ? text(icc, 16) : undefined;
}

/** Undefined if the profile is damaged, or defines its space by tables. */
export function readFormulaProfile(icc: Uint8Array): FormulaProfile | undefined {
  try {
    const tags = readTags(icc);
    if (profileSpace(icc) === 'GRAY' && !tags.has('A2B0')) {
      return { space: 'grey', toLinear: readCurve(tags.get('kTRC')) };
    }
    if (profileSpace(icc) !== 'RGB ' || tags.has('A2B0')) return undefined;
    const curves = (['rTRC', 'gTRC', 'bTRC'] as const).map((name) => readCurve(tags.get(name)));
    const columns = ['rXYZ', 'gXYZ', 'bXYZ'].map((name) => readXYZ(tags.get(name)));
    const matrix = [0, 1, 2].flatMap((row) => columns.map((column) => column[row]!));
    if (matrix.some((value) => !Number.isFinite(value)) || Math.abs(determinant(matrix)) < 1e-6)
      return undefined;
    return { space: 'rgb', curves: [curves[0]!, curves[1]!, curves[2]!], matrix };
  } catch {
    // A RangeError of the view: the profile is shorter than it claims.
    return undefined;
  }
}

/** Rows of the matrix from the profile's linear RGB to linear sRGB. */
export function toLinearSRGB({ matrix }: RGBProfile): Matrix {
  return product(inverse(sRGBToXYZ), matrix);
}

/** Rows of the matrix from linear sRGB to the profile's linear RGB. */
export function fromLinearSRGB({ matrix }: RGBProfile): Matrix {
  return product(inverse(matrix), sRGBToXYZ);
}

/** Values of a curve at `count` steps from 0 to 1. */
export function curveTable(curve: Curve, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => curve(i / (count - 1)));
}

/**
 * The curve's inverse: linear light in [0, 1] to the encoded value, by bisection in a table of 65536 entries.
 */
export function inverseCurve(curve: Curve): Curve {
  const table = curveTable(curve, 65536);
  const rises = table[65535]! >= table[0]!;
  return (linear) => {
    let [low, high] = [0, 65535];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (table[middle]! <= linear === rises) low = middle;
      else high = middle;
    }
    const span = table[high]! - table[low]!;
    const share = span === 0 ? 0 : Math.min(1, Math.max(0, (linear - table[low]!) / span));
    return (low + share) / 65535;
  };
}

/**
 * The encoding of linear light as a table. Its steps are equal in the square root, which is close to every
 * curve in use, so that dark values are as precise as bright ones.
 */
export function encodingTable(encode: Curve): (linear: number) => number {
  const last = 1 << 16;
  const table = Float32Array.from({ length: last + 1 }, (_, i) => encode((i / last) ** 2));
  return (linear) => {
    if (linear <= 0) return table[0]!;
    if (linear >= 1) return table[last]!;
    const at = Math.sqrt(linear) * last;
    const low = Math.floor(at);
    return table[low]! + (table[low + 1]! - table[low]!) * (at - low);
  };
}

function text(icc: Uint8Array, at: number): string {
  return String.fromCharCode(...icc.subarray(at, at + 4));
}

function readTags(icc: Uint8Array): Map<string, DataView> {
  const view = new DataView(icc.buffer, icc.byteOffset, icc.byteLength);
  const count = Math.min(view.getUint32(128), 100);
  const tags = new Map<string, DataView>();
  for (let i = 0; i < count; i++) {
    const entry = 132 + 12 * i;
    const [offset, length] = [view.getUint32(entry + 4), view.getUint32(entry + 8)];
    if (offset + length > icc.length) throw new RangeError('the profile is cut off');
    tags.set(text(icc, entry), new DataView(icc.buffer, icc.byteOffset + offset, length));
  }
  return tags;
}

function readXYZ(tag: DataView | undefined): readonly number[] {
  if (!tag) throw new RangeError('the profile lacks a colorant');
  return [8, 12, 16].map((at) => tag.getInt32(at) / 65536);
}

/** `curv` or `para` (ICC.1:2022, 10.6 and 10.18). */
function readCurve(tag: DataView | undefined): Curve {
  if (!tag) throw new RangeError('the profile lacks a curve');
  if (tag.getUint32(0) === 0x70617261) return parametric(tag);
  if (tag.getUint32(0) !== 0x63757276) throw new RangeError('the curve is of an unknown type');
  const count = tag.getUint32(8);
  if (count === 0) return (value) => value;
  if (count === 1) {
    const gamma = tag.getUint16(12) / 256;
    return (value) => value ** gamma;
  }
  const table = Float64Array.from({ length: count }, (_, i) => tag.getUint16(12 + 2 * i) / 65535);
  return (value) => {
    const at = Math.min(1, Math.max(0, value)) * (count - 1);
    const low = Math.min(count - 2, Math.floor(at));
    return table[low]! + (table[low + 1]! - table[low]!) * (at - low);
  };
}

function parametric(tag: DataView): Curve {
  const kind = tag.getUint16(8);
  const counts = [1, 3, 4, 5, 7];
  const [g = 1, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from(
    { length: counts[kind] ?? 0 },
    (_, i) => tag.getInt32(12 + 4 * i) / 65536,
  );
  const power = (value: number) => Math.max(0, a * value + b) ** g;
  if (kind === 0) return (value) => value ** g;
  if (kind === 1) return (value) => (value >= -b / a ? power(value) : 0);
  if (kind === 2) return (value) => (value >= -b / a ? power(value) + c : c);
  if (kind === 3) return (value) => (value >= d ? power(value) : c * value);
  if (kind === 4) return (value) => (value >= d ? power(value) + e : c * value + f);
  throw new RangeError('the parametric curve is of an unknown type');
}

function product(a: Matrix, b: Matrix): Matrix {
  return Array.from({ length: 9 }, (_, i) => {
    const [row, column] = [Math.floor(i / 3), i % 3];
    return a[row * 3]! * b[column]! + a[row * 3 + 1]! * b[3 + column]! + a[row * 3 + 2]! * b[6 + column]!;
  });
}

function determinant([a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0]: Matrix): number {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

function inverse(matrix: Matrix): Matrix {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0] = matrix;
  const adjugate = [
    e * i - f * h,
    c * h - b * i,
    b * f - c * e,
    f * g - d * i,
    a * i - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  ];
  return adjugate.map((value) => value / determinant(matrix));
}
