/**
 * Masks: white where the picture may change. A mask is data, so its file's profile is never applied, at any
 * depth.
 */
import { CodedError } from '../../shared/errors.ts';
import { type Mask, maskBounds, maskPeak, maskTolerance, snapMask } from '../../shared/mask.ts';
import { hasAlpha, isGrey, type Samples } from '../../shared/samples.ts';
import { decodePicture } from './decode.ts';
import { ownSamples, readHeader } from './libvips.ts';
import { decoding, readableEncoding } from './picture.ts';

export interface DecodedMask {
  readonly mask: Mask;
  /** The file was turned upright by its own EXIF orientation. */
  readonly isTurned: boolean;
  readonly notes: readonly string[];
}

/**
 * Reads a mask from a picture file: its lightness or, if it is a single colour on a transparent ground, its
 * alpha.
 * @throws CodedError `image-invalid`, `too-large`
 */
export async function decodeMaskFile(bytes: Uint8Array): Promise<DecodedMask> {
  const encoding = readableEncoding(bytes, 'mask');
  const { samples, orientation, notes } = await maskSamples(bytes);
  const found = maskOf(samples);
  // JPEG, WebP and AVIF leave noise of a few steps in black and white: uncleaned, the mask would cover
  // everything.
  const isLossy = ['jpg', 'webp', 'avif'].includes(encoding);
  return {
    mask: isLossy ? snapMask(found.mask, 12) : found.mask,
    isTurned: orientation > 1,
    notes: [...notes, ...found.notes],
  };
}

async function maskSamples(bytes: Uint8Array) {
  const what = 'mask';
  const encoding = readableEncoding(bytes, what);
  if (encoding === 'psd' || encoding === 'psb') return decodePicture(bytes, { what });
  const header = await readHeader(bytes, what);
  const space = header.space as string;
  const isOwn = ['srgb', 'rgb', 'rgb16', 'b-w', 'grey16'].includes(space);
  if (!isOwn) return decodePicture(bytes, { what });
  const samples = await decoding(what, () => ownSamples(bytes, space, header.depth === 'ushort'));
  const isAnimated = (header.pages ?? 1) > 1;
  const notes = isAnimated ? [`The mask has ${header.pages} frames or pages; the first is used.`] : [];
  return { samples, orientation: header.orientation ?? 1, notes };
}

/** Luma of encoded RGB (ITU-R BT.709); grey is returned unchanged. */
function lightnessOf({ width, height, channels, data }: Samples): Uint8Array {
  const scale = data instanceof Uint16Array ? 257 : 1;
  const lightness = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < lightness.length; i++, at += channels) {
    const red = data[at]!;
    const isNeutral = channels < 3 || (red === data[at + 1] && red === data[at + 2]);
    const luma = isNeutral ? red : 0.2126 * red + 0.7152 * data[at + 1]! + 0.0722 * data[at + 2]!;
    lightness[i] = Math.round(luma / scale);
  }
  return lightness;
}

function maskOf(samples: Samples): Pick<DecodedMask, 'mask' | 'notes'> {
  const { width, height, channels, data } = samples;
  const lightness = lightnessOf(samples);
  const asMask = (values: Uint8Array) => ({ width, height, data: values });
  if (!hasAlpha(samples)) {
    const isColoured =
      !isGrey(samples) &&
      lightness.some((_, i) => data[i * 3] !== data[i * 3 + 1] || data[i * 3] !== data[i * 3 + 2]);
    const notes = isColoured ? ['The mask is in colour; its brightness is taken as the mask.'] : [];
    return { mask: asMask(lightness), notes };
  }
  const scale = data instanceof Uint16Array ? 257 : 1;
  const alpha = Uint8Array.from(lightness, (_, i) => Math.round(data[(i + 1) * channels - 1]! / scale));
  if (alpha.every((value) => value === 255)) return { mask: asMask(lightness), notes: [] };
  const shade = lightness[mostOpaque(alpha)]!;
  // Programs that premultiply colours by alpha round faint ones when they convert back: by one or two steps
  // over alpha.
  const isOneColour = lightness.every((value, i) => Math.abs(value - shade) * alpha[i]! <= 2 * 255);
  if (isOneColour) {
    return {
      mask: asMask(alpha),
      notes: ['The mask is one colour on transparent ground; its opacity is taken as the mask.'],
    };
  }
  return {
    mask: asMask(lightness.map((value, i) => Math.round((value * alpha[i]!) / 255))),
    notes: [
      'The mask is partly transparent; its brightness is taken as the mask, and what is transparent counts as black. ' +
        'To change a transparent hole instead, fill the hole with white and all else with black.',
    ],
  };
}

function mostOpaque(alpha: Uint8Array): number {
  return alpha.reduce((best, value, i) => (value > alpha[best]! ? i : best), 0);
}

/**
 * The mask with near-black snapped to black and near-white to white, and what the user should know about it.
 * @throws CodedError `mask-empty`, `mask-faint`
 */
export function cleanMask(mask: Mask): { readonly mask: Mask; readonly notes: readonly string[] } {
  const snapped = snapMask(mask);
  const [before, after] = [maskBounds(mask), maskBounds(snapped)];
  const peak = maskPeak(mask);
  if (!before) throw emptyMask(mask);
  if (peak < 128) {
    throw new CodedError(after ? 'mask-faint' : 'mask-empty', {
      detail: after
        ? `The mask’s brightest value is ${peak} of 255, so the layer would hardly be seen.`
        : `The mask’s brightest value is ${peak} of 255; values up to ${maskTolerance} count as black, so nothing may change.`,
      remedy: `Stretch it so that white is 255: multiply its values by ${(255 / peak).toFixed(2)}, or set the white point of Levels to ${peak}.`,
    });
  }
  const notes: string[] = [];
  if (after && (after.width !== before.width || after.height !== before.height)) {
    notes.push(`The mask is not quite black outside: its values up to ${maskTolerance} of 255 count as 0.`);
  }
  if (peak < 255 - maskTolerance) {
    notes.push(
      `The mask’s brightest value is ${peak} of 255, so that the layer is partly transparent everywhere.`,
    );
  }
  return { mask: snapped, notes };
}

export function emptyMask({ width, height }: Mask): CodedError {
  return new CodedError('mask-empty', {
    detail: `The mask of ${width} x ${height} pixels is black everywhere, so nothing may change.`,
    remedy: 'Paint white where the picture may change, or leave the mask out to change all of it.',
  });
}
