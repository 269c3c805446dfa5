import { endianness } from 'node:os';
import type { Size } from '../../shared/bounds.ts';

/** TIFF 6.0, sections 8 and 16 to 23; ICC.1:2022, B.4 for the profile. */
const photometric = { grey: 1, rgb: 2, cmyk: 5, lab: 8 } as const;
const colours = { grey: 1, rgb: 3, cmyk: 4, lab: 3 } as const;

export interface RawPixels extends Size {
  /** If there are more than `space` has colours, the next one is straight alpha. */
  readonly channels: number;
  readonly data: Uint8Array | Uint16Array;
  readonly space: keyof typeof photometric;
  readonly icc?: Uint8Array | undefined;
  readonly pixelsPerInch?: number | undefined;
}

/** A directory entry: 3 SHORT, 4 LONG, 5 RATIONAL, 7 bytes. */
interface Table {
  readonly tag: number;
  readonly type: number;
  readonly values: readonly number[] | Uint8Array;
}

/**
 * Wraps pixels in an uncompressed TIFF with one strip. This is the only way to give sharp samples together
 * with their colour space and profile: its raw input is always RGB or grey, without a profile.
 */
export function wrapTIFF({ width, height, channels, data, space, icc, pixelsPerInch }: RawPixels): Buffer {
  const bits = data instanceof Uint16Array ? 16 : 8;
  const extra = channels > colours[space] ? 1 : 0;
  const tables: {
    readonly tag: number;
    readonly type: number;
    readonly values: readonly number[] | Uint8Array;
  }[] = [
    { tag: 256, type: 4, values: [width] },
    { tag: 257, type: 4, values: [height] },
    { tag: 258, type: 3, values: Array.from({ length: channels }, () => bits) },
    { tag: 259, type: 3, values: [1] },
    { tag: 262, type: 3, values: [photometric[space]] },
    { tag: 273, type: 4, values: [0] },
    { tag: 277, type: 3, values: [channels] },
    { tag: 278, type: 4, values: [height] },
    { tag: 279, type: 4, values: [data.byteLength] },
    ...(pixelsPerInch ? resolution(pixelsPerInch) : []),
    { tag: 284, type: 3, values: [1] },
    // Alpha that is not premultiplied.
    ...(extra ? [{ tag: 338, type: 3, values: [2] }] : []),
    ...(icc ? [{ tag: 34675, type: 7, values: icc }] : []),
  ];
  tables.sort((a, b) => a.tag - b.tag);
  const sizes = { 3: 2, 4: 4, 5: 4, 7: 1 } as Readonly<Record<number, number>>;
  const directory = 8;
  let after = directory + 2 + tables.length * 12 + 4;
  const places = tables.map(({ type, values }) => {
    const bytes = values.length * sizes[type]!;
    if (bytes <= 4) return undefined;
    const place = after;
    after += bytes + (bytes % 2);
    return place;
  });
  const pixels = after + (after % 2);
  const file = Buffer.alloc(pixels + data.byteLength);
  const isLittle = endianness() === 'LE';
  file.write(isLittle ? 'II' : 'MM', 0, 'latin1');
  const u16 = (value: number, at: number) =>
    isLittle ? file.writeUInt16LE(value, at) : file.writeUInt16BE(value, at);
  const u32 = (value: number, at: number) =>
    isLittle ? file.writeUInt32LE(value, at) : file.writeUInt32BE(value, at);
  u16(42, 2);
  u32(directory, 4);
  u16(tables.length, directory);
  for (const [i, { tag, type, values }] of tables.entries()) {
    const entry = directory + 2 + i * 12;
    u16(tag, entry);
    u16(type, entry + 2);
    u32(type === 5 ? values.length / 2 : values.length, entry + 4);
    const place = places[i] ?? entry + 8;
    if (places[i] !== undefined) u32(place, entry + 8);
    if (values instanceof Uint8Array) file.set(values, place);
    else {
      for (const [k, value] of values.entries()) {
        if (type === 3) u16(value, place + 2 * k);
        else u32(tag === 273 ? pixels : value, place + 4 * k);
      }
    }
  }
  file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), pixels);
  return file;
}

/** The resolution in thousandths of a pixel per inch, as fractions. */
function resolution(pixelsPerInch: number): Table[] {
  const values = [Math.round(pixelsPerInch * 1000), 1000];
  return [
    { tag: 282, type: 5, values },
    { tag: 283, type: 5, values },
    { tag: 296, type: 3, values: [2] },
  ];
}
