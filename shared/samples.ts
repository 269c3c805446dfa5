import type { Size } from './bounds.ts';

/**
 * [height, width, channels] in a document's own space: grey, grey and alpha, RGB, or RGB and straight alpha.
 */
export interface Samples extends Size {
  readonly channels: 1 | 2 | 3 | 4;
  readonly data: Uint8Array | Uint16Array;
}

export const isGrey = ({ channels }: Pick<Samples, 'channels'>): boolean => channels < 3;
export const hasAlpha = ({ channels }: Pick<Samples, 'channels'>): boolean => channels % 2 === 0;

/** New samples of the same depth. */
export function emptySamples(size: Size, channels: Samples['channels'], isDeep: boolean): Samples {
  const { width, height } = size;
  const count = width * height * channels;
  return { width, height, channels, data: isDeep ? new Uint16Array(count) : new Uint8Array(count) };
}

/** The largest value of a sample: 255 or 65535. */
export const whiteOfSamples = ({ data }: Pick<Samples, 'data'>): number =>
  data instanceof Uint16Array ? 65535 : 255;
