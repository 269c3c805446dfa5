import sharp, { type Sharp } from 'sharp';
import type { Size } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import { hasAlpha, isGrey, type Samples } from '../../shared/samples.ts';
import { wrapTIFF } from './tiff.ts';

export const flatEncodings = ['png', 'jpg', 'webp', 'avif', 'tif'] as const;
export type FlatEncoding = (typeof flatEncodings)[number];

/** A file's metadata. */
export interface FileData {
  readonly icc?: Uint8Array | undefined;
  readonly pixelsPerInch?: number | undefined;
  readonly xmp?: string | undefined;
}

interface Holds {
  readonly name: string;
  readonly alpha: boolean;
  readonly deep: boolean;
  readonly grey: boolean;
  /** Maximum pixels per side: ITU T.81, B.2.2; RFC 9649, 2.7; the limits of libheif and libvips. */
  readonly side: number;
}

/** What each format can hold, as we write it. */
export const holds: Readonly<Record<FlatEncoding, Holds>> = {
  png: { name: 'PNG', alpha: true, deep: true, grey: true, side: 2 ** 31 - 1 },
  tif: { name: 'TIFF', alpha: true, deep: true, grey: true, side: 2 ** 31 - 1 },
  jpg: { name: 'JPEG', alpha: false, deep: false, grey: true, side: 65_500 },
  webp: { name: 'WebP', alpha: true, deep: false, grey: false, side: 16_383 },
  avif: { name: 'AVIF', alpha: true, deep: false, grey: false, side: 16_384 },
};

/**
 * Encodes samples in a format without layers, in their own space: nothing is converted.
 * @throws CodedError `too-large`, `request-invalid`
 */
export async function encodeFlat(
  samples: Samples,
  encoding: FlatEncoding,
  data: FileData,
): Promise<Uint8Array> {
  const { name } = holds[encoding];
  refuseLongSides(samples, encoding);
  try {
    const wrapped = wrapTIFF({ ...samples, space: isGrey(samples) ? 'grey' : 'rgb', ...data });
    // Keep the profile without applying it, because the samples are already in its space.
    const image = sharp(wrapped, { ignoreIcc: true, limitInputPixels: false })
      .toColourspace(spaceOf(samples))
      .keepIccProfile();
    const file = await inFormat(data.xmp ? image.withXmp(data.xmp) : image, encoding, data).toBuffer();
    return encoding === 'jpg' ? withDensity(file, data.pixelsPerInch) : file;
  } catch (cause) {
    throw new CodedError('request-invalid', {
      detail: `The result cannot be written as ${name}: ${(cause as Error).message.trim()}.`,
      remedy: 'Choose another format; the layer itself is kept.',
      cause,
    });
  }
}

/** @throws CodedError `too-large` */
export function refuseLongSides({ width, height }: Size, encoding: FlatEncoding): void {
  const { name, side } = holds[encoding];
  if (Math.max(width, height) <= side) return;
  throw new CodedError('too-large', {
    detail: `${width} x ${height} pixels do not fit into ${name}, which ends at ${side} a side.`,
    remedy: 'Choose PNG, TIFF or PSD.',
  });
}

function spaceOf(samples: Samples): string {
  const isDeep = samples.data instanceof Uint16Array;
  if (isGrey(samples)) return isDeep ? 'grey16' : 'b-w';
  return isDeep ? 'rgb16' : 'srgb';
}

function inFormat(image: Sharp, encoding: FlatEncoding, { pixelsPerInch = 72 }: FileData): Sharp {
  switch (encoding) {
    case 'png':
      return image.png();
    case 'tif':
      return image.tiff({
        compression: 'deflate',
        predictor: 'horizontal',
        // In pixels per millimetre, whatever unit is written.
        xres: pixelsPerInch / 25.4,
        yres: pixelsPerInch / 25.4,
        resolutionUnit: 'inch',
      });
    case 'jpg':
      return image.jpeg({ quality: 95, chromaSubsampling: '4:4:4' });
    case 'webp':
      // `exact` keeps the colours where alpha is 0.
      return image.webp({ lossless: true, exact: true });
    case 'avif':
      return image.avif({ quality: 90, chromaSubsampling: '4:4:4', effort: 2 });
  }
}

/** Adds JFIF's density segment (ITU T.871, 10.1), which libvips omits if it writes other metadata. */
function withDensity(jpeg: Buffer, pixelsPerInch: number | undefined): Buffer {
  if (!pixelsPerInch || jpeg.toString('latin1', 6, 10) === 'JFIF') return jpeg;
  const density = Math.min(65535, Math.round(pixelsPerInch));
  const jfif = Buffer.from('ffe000104a46494600010101000000000000', 'hex');
  jfif.writeUInt16BE(density, 12);
  jfif.writeUInt16BE(density, 14);
  return Buffer.concat([jpeg.subarray(0, 2), jfif, jpeg.subarray(2)]);
}

/**
 * Reduces the samples to what a format can hold, and reports what is lost.
 * @returns `notes` in whole sentences
 */
export function fitted(
  samples: Samples,
  encoding: FlatEncoding,
): { readonly samples: Samples; readonly notes: readonly string[] } {
  const { name, alpha, deep } = holds[encoding];
  const notes: string[] = [];
  let fit = samples;
  if (!deep && fit.data instanceof Uint16Array) {
    fit = { ...fit, data: Uint8Array.from(fit.data, (value) => Math.round(value / 257)) };
    notes.push(`${name} holds 8 bits a channel; the document has 16.`);
  }
  if (!alpha && hasAlpha(fit)) {
    if (!isOpaque(fit)) notes.push(`${name} holds no transparency; what is transparent is laid on white.`);
    fit = onWhite(fit);
  }
  return { samples: fit, notes };
}

export function isOpaque({ channels, data }: Samples): boolean {
  const white = data instanceof Uint16Array ? 65535 : 255;
  for (let i = channels - 1; i < data.length; i += channels) if (data[i] !== white) return false;
  return true;
}

/** Composites the samples on white and drops their alpha. */
export function onWhite({ width, height, channels, data }: Samples): Samples {
  const colours = channels - 1;
  const white = data instanceof Uint16Array ? 65535 : 255;
  const count = width * height * colours;
  const result = data instanceof Uint16Array ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < width * height; i++) {
    const over = data[i * channels + colours]! / white;
    for (let c = 0; c < colours; c++) {
      result[i * colours + c] = Math.round(data[i * channels + c]! * over + white * (1 - over));
    }
  }
  return { width, height, channels: colours as Samples['channels'], data: result };
}
