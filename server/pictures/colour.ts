/** Converts a document's own samples to the sRGB that the model expects, and back. */
import { linearFromSRGB, sRGBFromLinear } from '../../shared/colour.ts';
import {
  curveTable,
  encodingTable,
  type FormulaProfile,
  fromLinearSRGB,
  inverseCurve,
  toLinearSRGB,
} from '../../shared/icc.ts';
import type { Raster } from '../../shared/image.ts';
import { emptySamples, hasAlpha, isGrey, type Samples, whiteOfSamples } from '../../shared/samples.ts';

/** Rec. 709 luminance of linear sRGB (IEC 61966-2-1). */
const luminance = (r: number, g: number, b: number) => 0.2126 * r + 0.7152 * g + 0.0722 * b;

/**
 * Converts a document's samples to sRGB; keeps alpha, and keeps colours where alpha is 0.
 * @param profile of the samples; without one they are taken as sRGB, and grey as having sRGB's curve
 */
export function toSRGB(samples: Samples, profile: FormulaProfile | undefined): Raster {
  const { width, height, data } = samples;
  const alpha = hasAlpha(samples);
  if (!profile && !isGrey(samples)) return { width, height, channels: alpha ? 4 : 3, data };
  const result = emptySamples(samples, alpha ? 4 : 3, data instanceof Uint16Array);
  const white = whiteOfSamples(samples);
  const [from, to] = [samples.channels, result.channels];
  const encode = encodingTable(sRGBFromLinear);
  if (isGrey(samples)) {
    const linear = profile?.space === 'grey' ? curveTable(profile.toLinear, white + 1) : undefined;
    for (let i = 0; i < width * height; i++) {
      const value = data[i * from]!;
      result.data.fill(linear ? Math.round(encode(linear[value]!) * white) : value, i * to, i * to + 3);
      if (alpha) result.data[i * to + 3] = data[i * from + 1]!;
    }
  } else if (profile?.space === 'rgb') {
    const tables = profile.curves.map((curve) => curveTable(curve, white + 1));
    const matrix = toLinearSRGB(profile);
    for (let i = 0; i < width * height; i++) {
      const [r, g, b] = [0, 1, 2].map((c) => tables[c]![data[i * from + c]!]!);
      for (let c = 0; c < 3; c++) {
        const value = matrix[3 * c]! * r! + matrix[3 * c + 1]! * g! + matrix[3 * c + 2]! * b!;
        result.data[i * to + c] = Math.round(encode(value) * white);
      }
      if (alpha) result.data[i * to + 3] = data[i * from + 3]!;
    }
  } else {
    result.data.set(data);
  }
  return { ...result, channels: to === 4 ? 4 : 3 };
}

/**
 * Converts an sRGB picture or layer to a document's own space.
 * @param grey the document is grey: only the luminance is kept
 */
export function fromSRGB(raster: Raster, profile: FormulaProfile | undefined, grey: boolean): Samples {
  if (!grey && profile?.space !== 'rgb') return raster;
  const { width, height, data } = raster;
  const white = whiteOfSamples(raster);
  const from = raster.channels;
  const to = ((grey ? 1 : 3) + (from === 4 ? 1 : 0)) as Samples['channels'];
  const result = emptySamples(raster, to, data instanceof Uint16Array);
  const linear = curveTable(linearFromSRGB, white + 1);
  const curves =
    profile?.space === 'rgb'
      ? profile.curves
      : profile?.space === 'grey'
        ? [profile.toLinear]
        : [linearFromSRGB];
  const encode = curves.map((curve) => encodingTable(inverseCurve(curve)));
  const matrix = profile?.space === 'rgb' ? fromLinearSRGB(profile) : [];
  for (let i = 0; i < width * height; i++) {
    const r = linear[data[i * from]!]!;
    const g = linear[data[i * from + 1]!]!;
    const b = linear[data[i * from + 2]!]!;
    if (grey) result.data[i * to] = Math.round(encode[0]!(luminance(r, g, b)) * white);
    else {
      for (let c = 0; c < 3; c++) {
        const value = matrix[3 * c]! * r + matrix[3 * c + 1]! * g + matrix[3 * c + 2]! * b;
        result.data[i * to + c] = Math.round(encode[c]!(value) * white);
      }
    }
    if (from === 4) result.data[i * to + to - 1] = data[i * from + 3]!;
  }
  return result;
}
