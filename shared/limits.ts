import type { Size } from './bounds.ts';
import { CodedError } from './errors.ts';

/** Larger pictures are neither read nor generated: the hosts' documents are at most 10,000 x 10,000. */
export const maxPixels = 100_000_000;

/**
 * @param what names the thing in the error, such as "picture"
 * @throws CodedError `too-large`
 */
export function refuseLarge({ width, height }: Size, what: string): void {
  if (width * height <= maxPixels) return;
  throw new CodedError('too-large', {
    detail: `The ${what} has ${width} x ${height} pixels; the limit is ${maxPixels / 1e6} million.`,
    remedy: 'Send only the part around the mask, or a smaller picture.',
  });
}

/**
 * Refuses a request for more pixels than the limit, as far as the request shows.
 * @param picture the size of the picture to edit, if known: used for a side that the request leaves out
 * @throws CodedError `too-large`
 */
export function refuseLargeResult(
  asked: { readonly width?: number | undefined; readonly height?: number | undefined },
  picture?: Size,
): void {
  const ratio = picture ? picture.width / picture.height : undefined;
  const width = asked.width ?? (asked.height && ratio && Math.round(asked.height * ratio));
  const height = asked.height ?? (asked.width && ratio && Math.round(asked.width / ratio));
  if (width && height) refuseLarge({ width, height }, 'result that the request asks for');
}
