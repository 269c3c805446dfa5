/** Decodes pictures of every supported format, by the same rules for the command line, HTTP and the page. */
import type { Metadata } from 'sharp';
import type { Size } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import { type FormulaProfile, readFormulaProfile } from '../../shared/icc.ts';
import type { Raster } from '../../shared/image.ts';
import { isGrey, type Samples } from '../../shared/samples.ts';
import { toSRGB } from './colour.ts';
import { convertToSRGB, inSRGB, open, ownSamples, rawSamples, readHeader } from './libvips.ts';
import {
  convertedNote,
  type DecodeOptions,
  decoding,
  type Picture,
  readableEncoding,
  usableProfile,
} from './picture.ts';
import { decodePSD, psdSize } from './psd.ts';

/**
 * Decodes a picture file.
 * @throws CodedError `image-invalid`, `too-large`, `request-invalid` if it doesn't have the layer
 */
export async function decodePicture(bytes: Uint8Array, { what, layer }: DecodeOptions): Promise<Picture> {
  const encoding = readableEncoding(bytes, what);
  if (encoding === 'psd' || encoding === 'psb') return decodePSD(bytes, encoding, { what, layer });
  if (layer !== undefined) {
    throw new CodedError('request-invalid', {
      detail: `The layer "${layer}" is asked for, but the ${what} is no PSD.`,
      remedy: 'Leave the layer out, or send a PSD.',
    });
  }
  const header = await readHeader(bytes, what);
  const { samples, keepsProfile } = await readSamples(bytes, header, what);
  const icc = keepsProfile ? usableProfile(header.icc, samples) : undefined;
  return {
    encoding,
    samples,
    ...(icc && { icc }),
    ...(header.density && { pixelsPerInch: header.density }),
    orientation: header.orientation ?? 1,
    notes: notesOn(header, what),
  };
}

/**
 * The size of a picture file, from its header.
 * @throws CodedError `image-invalid`, `too-large`
 */
export async function pictureSize(bytes: Uint8Array, what: string): Promise<Size> {
  const encoding = readableEncoding(bytes, what);
  if (encoding === 'psd' || encoding === 'psb') return psdSize(bytes, what);
  const { autoOrient } = await readHeader(bytes, what);
  return autoOrient;
}

/** The picture in sRGB as the model expects it: grey as RGB, at the file's 8 or 16 bits, with its alpha. */
export async function pictureInSRGB({ samples, icc }: Picture, what: string): Promise<Raster> {
  const profile = icc && readFormulaProfile(icc);
  if (!icc || profile) return toSRGB(samples, profile);
  // The profile is table-based.
  return convertToSRGB({ ...samples, space: isGrey(samples) ? 'grey' : 'rgb', icc }, what);
}

/**
 * The profile's formula, if it has one. Without one, the profile can be used to read pictures but not to
 * write them.
 */
export function formulaOf({ icc }: Pick<Picture, 'icc'>): FormulaProfile | undefined {
  return icc && readFormulaProfile(icc);
}

/**
 * A file's own samples, upright; CMYK and Lab are converted to sRGB.
 * @throws CodedError `image-invalid`
 */
async function readSamples(
  bytes: Uint8Array,
  header: Metadata,
  what: string,
): Promise<{ readonly samples: Samples; readonly keepsProfile: boolean }> {
  const isDeep = header.depth === 'ushort';
  const space = header.space as string;
  return decoding(what, async () => {
    if (ownSpaces.has(space)) {
      return { samples: await ownSamples(bytes, space, isDeep), keepsProfile: true };
    }
    const image = inSRGB(open(bytes).autoOrient(), isDeep && header.hasProfile === true);
    return { samples: await rawSamples(image, isDeep), keepsProfile: false };
  });
}

/** libvips' names for the spaces whose samples are not converted. */
const ownSpaces: ReadonlySet<string> = new Set(['srgb', 'rgb', 'rgb16', 'b-w', 'grey16']);

function notesOn(header: Metadata, what: string): string[] {
  const notes: string[] = [];
  if ((header.pages ?? 1) > 1) {
    notes.push(`The ${what} has ${header.pages} frames or pages; the first is used.`);
  }
  const name = { cmyk: 'CMYK', lab: 'Lab', labs: 'Lab' }[header.space as string];
  if (name) notes.push(convertedNote(what, name));
  return notes;
}
