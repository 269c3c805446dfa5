/**
 * Colour as the simulated documents hold it. Photoshop's own conversions differ in detail (rendering intents,
 * tables of CMYK profiles); what matters here is that a mode is not RGB, and that a conversion there and back
 * rounds.
 */
import { linearFromSRGB, sRGBFromLinear } from '../../../shared/colour.ts';

export type Mode = 'RGB' | 'GRAYSCALE' | 'LAB' | 'CMYK';
export type Depth = 8 | 16 | 32;

/** Channels of a pixel without its alpha. */
export const channelsOf: Readonly<Record<Mode, number>> = { RGB: 3, GRAYSCALE: 1, LAB: 3, CMYK: 4 };

export interface Space {
  readonly mode: Mode;
  readonly profile: string;
  readonly depth: Depth;
}

type Triple = [number, number, number];

const clip = (value: number): number => Math.min(1, Math.max(0, value));

/**
 * Adobe RGB (1998) and Display P3 to linear sRGB, all D65 (IEC 61966-2-1, Adobe RGB 1998 encoding, DCI-P3
 * D65).
 */
const matrices: Readonly<Record<string, readonly number[]>> = {
  'Adobe RGB (1998)': [1.39836, -0.39836, 0, 0, 1, 0, 0, -0.04293, 1.04293],
  'Display P3': [1.22494, -0.22494, 0, -0.04206, 1.04206, 0, -0.01964, -0.07864, 1.09828],
};

function multiply(m: readonly number[], [a, b, c]: Triple): Triple {
  const row = (i: number): number => m[i]! * a + m[i + 1]! * b + m[i + 2]! * c;
  return [row(0), row(3), row(6)];
}

function inverse(m: readonly number[]): number[] {
  const [a, b, c, d, e, f, g, h, i] = m as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const adjugate = [
    e * i - f * h, c * h - b * i, b * f - c * e,
    f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d,
  ]; // biome-ignore format: rows of a matrix
  return adjugate.map((value) => value / det);
}

/** Linear sRGB to XYZ of D50, adapted by Bradford (ICC sRGB profile). */
const toD50 = [
  0.4360747, 0.3850649, 0.1430804, 0.2225045, 0.7168786, 0.0606169, 0.0139322, 0.0971045, 0.7141733,
];
const whiteD50: Triple = [0.96422, 1, 0.82521];

const encode = (linear: Triple): Triple => linear.map((value) => sRGBFromLinear(clip(value))) as Triple;
const decode = (encoded: Triple): Triple => encoded.map(linearFromSRGB) as Triple;

/** Channels in [0, 1] to sRGB in [0, 1]; 32 bits hold linear light. */
export function toSRGB({ mode, profile, depth }: Space, native: readonly number[]): Triple {
  const [a = 0, b = 0, c = 0, d = 0] = native;
  switch (mode) {
    case 'RGB': {
      const matrix = matrices[profile];
      if (depth === 32) return encode(matrix ? multiply(matrix, [a, b, c]) : [a, b, c]);
      if (!matrix) return [a, b, c];
      const light =
        profile === 'Display P3' ? decode([a, b, c]) : ([a, b, c].map((v) => v ** 2.19921875) as Triple);
      return encode(multiply(matrix, light));
    }
    case 'GRAYSCALE': {
      const light = depth === 32 ? a : a ** 2.2;
      return encode([light, light, light]);
    }
    case 'LAB': {
      const fy = (a * 100 + 16) / 116;
      const back = (f: number): number => (f > 6 / 29 ? f ** 3 : 3 * (6 / 29) ** 2 * (f - 4 / 29));
      const fx = fy + (b * 255 - 128) / 500;
      const fz = fy - (c * 255 - 128) / 200;
      const xyz: Triple = [back(fx) * whiteD50[0], back(fy) * whiteD50[1], back(fz) * whiteD50[2]];
      return encode(multiply(inverse(toD50), xyz));
    }
    case 'CMYK':
      return [(1 - a) * (1 - d), (1 - b) * (1 - d), (1 - c) * (1 - d)];
  }
}

/** The inverse; colours outside sRGB are clipped to its edge. */
export function fromSRGB({ mode, profile, depth }: Space, rgb: Triple): number[] {
  switch (mode) {
    case 'RGB': {
      const matrix = matrices[profile];
      if (!matrix) return depth === 32 ? decode(rgb) : [...rgb];
      const light = multiply(inverse(matrix), decode(rgb)).map(clip) as Triple;
      if (depth === 32) return light;
      return profile === 'Display P3' ? encode(light) : light.map((v) => v ** (1 / 2.19921875));
    }
    case 'GRAYSCALE': {
      const [r, g, b] = decode(rgb);
      const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
      return [depth === 32 ? light : light ** (1 / 2.2)];
    }
    case 'LAB': {
      const f = (t: number): number => (t > (6 / 29) ** 3 ? Math.cbrt(t) : t / (3 * (6 / 29) ** 2) + 4 / 29);
      const [x, y, z] = multiply(toD50, decode(rgb)).map((v, i) => f(v / whiteD50[i]!)) as Triple;
      return [(116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255].map(clip);
    }
    case 'CMYK': {
      const black = 1 - Math.max(...rgb);
      const rest = 1 - black;
      return [...rgb.map((value) => (rest === 0 ? 0 : 1 - value / rest)), black];
    }
  }
}

export function whiteOf(depth: Depth): number {
  return depth === 8 ? 255 : depth === 16 ? 32768 : 1;
}

export function samples(length: number, depth: Depth): Uint8Array | Uint16Array | Float32Array {
  if (depth === 8) return new Uint8Array(length);
  return depth === 16 ? new Uint16Array(length) : new Float32Array(length);
}

/** A value in [0, 1] at a depth. */
export function quantise(value: number, depth: Depth): number {
  return depth === 32 ? value : Math.round(clip(value) * whiteOf(depth));
}
