import { CodedError } from '../../shared/errors.ts';
import { profileSpace } from '../../shared/icc.ts';
import { type Encoding, formatOf, readableFormats } from '../../shared/picture-format.ts';
import { isGrey, type Samples } from '../../shared/samples.ts';

/** A picture as stored in its file, turned upright. */
export interface Picture {
  readonly encoding: Encoding;
  readonly samples: Samples;
  /** Profile of the samples; absent if the file has none, or if the samples had to be converted to sRGB. */
  readonly icc?: Uint8Array;
  readonly pixelsPerInch?: number;
  /** EXIF orientation, 1 to 8: how the file's own pixels were turned. */
  readonly orientation: number;
  /** Decisions made for the user, in whole sentences. */
  readonly notes: readonly string[];
}

export interface DecodeOptions {
  /** Names the picture in errors and notes, such as "picture" or "reference 1". */
  readonly what: string;
  /**
   * A layer of a PSD to read instead of the flattened picture: its groups' names and its own, joined by `/`.
   */
  readonly layer?: string | undefined;
}

/** @throws CodedError `image-invalid` that names the format, if it isn't supported */
export function readableEncoding(start: Uint8Array, what: string): Encoding {
  const { name, encoding } = formatOf(start);
  if (encoding) return encoding;
  throw new CodedError('image-invalid', {
    detail:
      name === 'empty'
        ? `The ${what} has 0 bytes.`
        : `The ${what} is of the format ${name}, which is not read.`,
    remedy: `Save it as ${readableFormats}.`,
  });
}

/** Converts whatever a decoder throws to `image-invalid`. */
export async function decoding<T>(what: string, decode: () => Promise<T>): Promise<T> {
  try {
    return await decode();
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    const reason = (cause as Error).message.trim().replaceAll('\n', '; ').replace(/\.$/, '');
    throw new CodedError('image-invalid', {
      detail: `The ${what} cannot be decoded: ${reason}.`,
      remedy:
        'It may be damaged or cut off. Open it in another program and save it again as PNG, JPEG or WebP.',
      cause,
    });
  }
}

/**
 * Drops a profile whose space isn't the samples': it is useless, and other programs would refuse the file.
 */
export function usableProfile(icc: Uint8Array | undefined, samples: Samples): Uint8Array | undefined {
  return icc && profileSpace(icc) === (isGrey(samples) ? 'GRAY' : 'RGB ') ? icc : undefined;
}

export function convertedNote(what: string, space: string): string {
  return `The ${what} is ${space}; it is converted to sRGB, and so is the result.`;
}
