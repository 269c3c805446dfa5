/** Reads files with sharp, as samples. */
import sharp, { type Metadata, type Sharp } from 'sharp';
import { CodedError } from '../../shared/errors.ts';
import type { Raster } from '../../shared/image.ts';
import { refuseLarge } from '../../shared/limits.ts';
import { asU16 } from '../../shared/safetensors.ts';
import { emptySamples, type Samples } from '../../shared/samples.ts';
import { toSRGB } from './colour.ts';
import { decoding } from './picture.ts';
import { wrapTIFF } from './tiff.ts';

/**
 * Reads the header of a file that sharp supports.
 * @throws CodedError `image-invalid`, `too-large`
 */
export async function readHeader(bytes: Uint8Array, what: string): Promise<Metadata> {
  const header = await decoding(what, () => open(bytes).metadata());
  refuseLarge(header, what);
  if (header.depth === 'uchar' || header.depth === 'ushort') return header;
  const bits = { float: '32-bit floating point', double: '64-bit floating point' }[header.depth as string];
  throw new CodedError('image-invalid', {
    detail: `The ${what} has samples of ${bits ?? `the type "${header.depth}"`}, which are not read.`,
    remedy: 'Convert it to 16 bits and save it again.',
  });
}

/**
 * Converts samples of any space to sRGB by their profile; CMYK without one by libvips' own.
 * @throws CodedError `image-invalid`
 */
export async function convertToSRGB(pixels: Parameters<typeof wrapTIFF>[0], what: string): Promise<Raster> {
  const isDeep = pixels.data instanceof Uint16Array;
  return decoding(what, async () => {
    const image = sharp(wrapTIFF(pixels), { limitInputPixels: false });
    const samples = await rawSamples(inSRGB(image, isDeep && pixels.icc !== undefined), isDeep);
    return toSRGB(samples, undefined);
  });
}

/** A file's samples without colour management; also for masks, which are data. */
export async function ownSamples(bytes: Uint8Array, space: string, isDeep: boolean): Promise<Samples> {
  const image = open(bytes, { ignoreIcc: true }).autoOrient();
  if (space !== 'b-w') return rawSamples(image.toColourspace(space === 'rgb' ? 'srgb' : space), isDeep);
  // From grey, sharp's raw output keeps only the first channel; as RGB it also keeps the alpha.
  const samples = await rawSamples(image.toColourspace('srgb'), isDeep);
  if (samples.channels < 3) return samples;
  const channels = samples.channels === 4 ? 2 : 1;
  const grey = emptySamples(samples, channels, isDeep);
  for (let i = 0; i < samples.width * samples.height; i++) {
    grey.data[i * channels] = samples.data[i * samples.channels]!;
    if (channels === 2) grey.data[i * 2 + 1] = samples.data[i * 4 + 3]!;
  }
  return grey;
}

export function open(bytes: Uint8Array, options: { readonly ignoreIcc?: boolean } = {}): Sharp {
  return sharp(bytes, { limitInputPixels: false, failOn: 'truncated', sequentialRead: true, ...options });
}

/** At 16 bits, sharp uses a profile to convert to Display P3, unless it is given the target space. */
export function inSRGB(image: Sharp, hasDeepProfile: boolean): Sharp {
  return (hasDeepProfile ? image.withIccProfile('srgb') : image).toColourspace(
    hasDeepProfile ? 'rgb16' : 'srgb',
  );
}

export async function rawSamples(image: Sharp, isDeep: boolean): Promise<Samples> {
  const { data, info } = await image
    .raw({ depth: isDeep ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels < 1 || channels > 4) throw new Error(`it has ${channels} channels`);
  return { width, height, channels: channels as Samples['channels'], data: isDeep ? asU16(data) : data };
}
