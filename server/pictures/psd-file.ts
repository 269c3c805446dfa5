/**
 * Parses Photoshop documents, PSD and PSB (Adobe, "Photoshop File Formats Specification"; psd-tools,
 * src/psd_tools/psd/layer_and_mask.py, shows what the specification leaves out). Reads only what holds
 * pixels.
 */
import { inflateSync } from 'node:zlib';
import type { Bounds, Size } from '../../shared/bounds.ts';

export interface PSDLayerRecord {
  /** The names of its groups and its own, joined by `/`. */
  readonly path: string;
  readonly isGroup: boolean;
  readonly bounds: Bounds;
  /** By channel id: 0 to 3 colours, -1 transparency, -2 the layer's mask. */
  readonly channels: ReadonlyMap<number, Uint8Array>;
  readonly mask?: { readonly bounds: Bounds; readonly outside: number; readonly isOff: boolean };
}

export interface PSDFile extends Size {
  readonly isLarge: boolean;
  readonly channels: number;
  /** Bits per sample: 1, 8, 16 or 32. */
  readonly depth: number;
  /** 0 bitmap, 1 grey, 2 indexed, 3 RGB, 4 CMYK, 7 multichannel, 8 duotone, 9 Lab. */
  readonly mode: number;
  /** For an indexed document: 256 reds, greens and blues. */
  readonly palette: Uint8Array;
  readonly icc?: Uint8Array;
  readonly pixelsPerInch?: number;
  /** The first channel after the colours is the transparency of the flattened picture. */
  readonly hasTransparency: boolean;
  /** False if the file was saved without the flattened picture ("Maximize Compatibility" off). */
  readonly hasFlattened: boolean;
  /** Bottom to top. */
  readonly layers: readonly PSDLayerRecord[];
  /** Position of the flattened picture's compression. */
  readonly flattenedAt: number;
}

/** Thrown whenever a file turns out to be damaged; the caller words the error. */
export class DamagedPSD extends Error {}

/** Keys whose length takes 8 bytes in a PSB (the specification, "Additional Layer Information"). */
const longKeys = new Set('LMsk Lr16 Lr32 Layr Mt16 Mt32 Mtrn Alph FMsk lnk2 FEid FXid PxSD'.split(' '));

class Reader {
  at = 0;
  readonly #view: DataView;
  constructor(
    readonly bytes: Uint8Array,
    readonly isLarge: boolean,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  #take(count: number): number {
    const at = this.at;
    if (!(count >= 0) || at + count > this.bytes.length)
      throw new DamagedPSD(`it ends at byte ${this.bytes.length}`);
    this.at += count;
    return at;
  }
  u8 = () => this.#view.getUint8(this.#take(1));
  u16 = () => this.#view.getUint16(this.#take(2));
  i16 = () => this.#view.getInt16(this.#take(2));
  u32 = () => this.#view.getUint32(this.#take(4));
  i32 = () => this.#view.getInt32(this.#take(4));
  /** A length, 8 bytes in a PSB. */
  length = (isLong = this.isLarge) => (isLong ? Number(this.#view.getBigUint64(this.#take(8))) : this.u32());
  take(count: number): Uint8Array {
    const at = this.#take(count);
    return this.bytes.subarray(at, at + count);
  }
  part(count: number): Reader {
    return new Reader(this.take(count), this.isLarge);
  }
  text = (count: number) => String.fromCharCode(...this.take(count));
  bounds(): Bounds {
    const [top, left, bottom, right] = [this.i32(), this.i32(), this.i32(), this.i32()];
    return { left, top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
  }
  get left(): number {
    return this.bytes.length - this.at;
  }
}

/** @throws DamagedPSD */
export function readPSD(bytes: Uint8Array): PSDFile {
  const isLarge = bytes[5] === 2;
  const file = new Reader(bytes, isLarge);
  file.take(12);
  const channels = file.u16();
  const [height, width] = [file.u32(), file.u32()];
  const [depth, mode] = [file.u16(), file.u16()];
  if (width === 0 || height === 0) throw new DamagedPSD(`it is ${width} x ${height} pixels large`);
  const palette = file.take(file.u32());
  const resources = readResources(file.part(file.u32()));
  const { layers, hasTransparency } = readLayerSection(file.part(file.length()), depth);
  const flattenedAt = file.at;
  const size = { width, height };
  return {
    ...size,
    isLarge,
    channels,
    depth,
    mode,
    palette,
    ...resources,
    hasTransparency,
    layers,
    flattenedAt,
  };
}

function readResources(part: Reader): Pick<PSDFile, 'icc' | 'pixelsPerInch' | 'hasFlattened'> {
  let icc: Uint8Array | undefined;
  let pixelsPerInch: number | undefined;
  let hasFlattened = true;
  while (part.left >= 12) {
    part.take(4);
    const id = part.u16();
    const name = part.u8();
    part.take(name + ((name + 1) % 2));
    const size = part.u32();
    const data = part.part(size);
    if (size % 2 && part.left > 0) part.take(1);
    if (id === 1039) icc = data.bytes;
    // A fixed-point number in pixels per inch, whatever unit is displayed.
    if (id === 1005 && size >= 4) pixelsPerInch = data.u32() / 65536;
    if (id === 1057 && size >= 5) hasFlattened = data.bytes[4] !== 0;
  }
  return { ...(icc && { icc }), ...(pixelsPerInch && { pixelsPerInch }), hasFlattened };
}

function readLayerSection(
  section: Reader,
  depth: number,
): { layers: readonly PSDLayerRecord[]; hasTransparency: boolean } {
  if (section.left === 0) return { layers: [], hasTransparency: false };
  const info = section.part(section.length());
  if (info.left > 0) return readLayers(info);
  if (section.left >= 4) section.take(section.u32());
  const key = depth === 16 ? 'Lr16' : 'Lr32';
  for (const [name, data] of blocksOf(section, 4))
    if (name === key || name === 'Layr') return readLayers(data);
  return { layers: [], hasTransparency: false };
}

function* blocksOf(part: Reader, padding: number): Generator<[string, Reader]> {
  while (part.left >= 12) {
    const signature = part.text(4);
    if (signature !== '8BIM' && signature !== '8B64') return;
    const key = part.text(4);
    const length = part.length(part.isLarge && longKeys.has(key));
    const data = part.part(length);
    const pad = (padding - (length % padding)) % padding;
    part.take(Math.min(pad, part.left));
    yield [key, data];
  }
}

interface Record {
  readonly name: string;
  /** 1 or 2: a group; 3: the end of one, below it. */
  readonly divider: number;
  readonly bounds: Bounds;
  readonly lengths: readonly { readonly id: number; readonly length: number }[];
  readonly mask?: PSDLayerRecord['mask'];
}

function readLayers(info: Reader): { layers: readonly PSDLayerRecord[]; hasTransparency: boolean } {
  const count = info.i16();
  const records = Array.from({ length: Math.abs(count) }, () => readRecord(info));
  const channels = records.map(
    ({ lengths }) => new Map(lengths.map(({ id, length }) => [id, info.take(length)] as const)),
  );
  const layers: PSDLayerRecord[] = [];
  const groups: string[] = [];
  // From the top, where a group's own record comes before its contents.
  for (let i = records.length - 1; i >= 0; i--) {
    const { name, divider, bounds, mask } = records[i]!;
    if (divider === 3) {
      groups.pop();
      continue;
    }
    const isGroup = divider === 1 || divider === 2;
    const path = [...groups, name].join('/');
    layers.unshift({ path, isGroup, bounds, channels: channels[i]!, ...(mask && { mask }) });
    if (isGroup) groups.push(name);
  }
  return { layers, hasTransparency: count < 0 };
}

function readRecord(info: Reader): Record {
  const bounds = info.bounds();
  const lengths = Array.from({ length: info.u16() }, () => ({ id: info.i16(), length: info.length() }));
  info.take(12);
  const extra = info.part(info.u32());
  const mask = readMask(extra.part(extra.u32()));
  extra.take(extra.u32());
  const pascal = extra.u8();
  let name = extra.text(pascal);
  extra.take(Math.min(extra.left, (4 - ((pascal + 1) % 4)) % 4));
  let divider = 0;
  for (const [key, data] of blocksOf(extra, 2)) {
    if (key === 'luni') name = unicode(data);
    if ((key === 'lsct' || key === 'lsdk') && data.left >= 4) divider = data.u32();
  }
  return { name, divider, bounds, lengths, ...(mask && { mask }) };
}

function unicode(data: Reader): string {
  const units = Array.from({ length: Math.min(data.u32(), data.left >> 1) }, () => data.u16());
  return String.fromCharCode(...units).replace(/\0+$/, '');
}

function readMask(data: Reader): PSDLayerRecord['mask'] {
  if (data.left < 18) return undefined;
  const bounds = data.bounds();
  const outside = data.u8();
  return { bounds, outside, isOff: (data.u8() & 2) !== 0 };
}

/**
 * The planes of the flattened picture, one after another, [channels, height, row].
 * @throws DamagedPSD
 */
export function flattenedPlanes(bytes: Uint8Array, file: PSDFile): Uint8Array {
  const { isLarge, channels, height, flattenedAt } = file;
  const reader = new Reader(bytes.subarray(flattenedAt), isLarge);
  return unpackPlanes(reader, rowBytes(file.width, file.depth), channels * height);
}

/**
 * A channel of a layer, [height, row] of its bounds.
 * @throws DamagedPSD
 */
export function layerPlane(data: Uint8Array, { width, height }: Size, file: PSDFile): Uint8Array {
  if (width === 0 || height === 0) return new Uint8Array(0);
  const reader = new Reader(data, file.isLarge);
  return unpackPlanes(reader, rowBytes(width, file.depth), height, file.depth);
}

const rowBytes = (width: number, depth: number) => Math.ceil((width * depth) / 8);

function unpackPlanes(reader: Reader, row: number, rows: number, depth = 0): Uint8Array {
  const compression = reader.u16();
  if (compression === 0) return reader.take(row * rows);
  if (compression === 1) return unpackBits(reader, row, rows);
  if (compression !== 2 && compression !== 3) throw new DamagedPSD(`its compression is ${compression}`);
  let planes: Uint8Array;
  try {
    planes = inflateSync(reader.take(reader.left), { maxOutputLength: row * rows });
  } catch (cause) {
    throw new DamagedPSD(`its pixels cannot be unpacked: ${(cause as Error).message}`);
  }
  if (planes.length !== row * rows) throw new DamagedPSD(`${planes.length} bytes of ${row * rows} are there`);
  if (compression === 3) undoPrediction(planes, row, depth);
  return planes;
}

/** PackBits (TIFF 6.0, section 9), row by row. */
function unpackBits(reader: Reader, row: number, rows: number): Uint8Array {
  // Check before allocating what a few bytes merely claim: PackBits saves at most 64 to 1.
  if (rows * row > reader.left * 64)
    throw new DamagedPSD(`${reader.left} bytes cannot hold ${rows} rows of ${row}`);
  const counts = Array.from({ length: rows }, () => (reader.isLarge ? reader.u32() : reader.u16()));
  const planes = new Uint8Array(row * rows);
  for (const [y, count] of counts.entries()) {
    const packed = reader.take(count);
    const end = (y + 1) * row;
    let to = y * row;
    for (let at = 0; at < packed.length && to < end; ) {
      const head = packed[at++]!;
      if (head < 128) {
        const literal = packed.subarray(at, at + Math.min(head + 1, end - to));
        planes.set(literal, to);
        to += literal.length;
        at += head + 1;
      } else if (head > 128) {
        const run = Math.min(257 - head, end - to);
        planes.fill(packed[at++] ?? 0, to, to + run);
        to += run;
      }
    }
    if (to !== end) throw new DamagedPSD(`row ${y} is ${end - to} bytes short`);
  }
  return planes;
}

/** Undoes prediction: each sample is stored as the difference from the previous one in its row. */
function undoPrediction(planes: Uint8Array, row: number, depth: number): void {
  for (let start = 0; start < planes.length; start += row) {
    if (depth === 16) {
      for (let i = start + 2; i + 1 < start + row; i += 2) {
        const sum = (planes[i]! << 8) + planes[i + 1]! + (planes[i - 2]! << 8) + planes[i - 1]!;
        planes[i] = (sum >> 8) & 255;
        planes[i + 1] = sum & 255;
      }
    } else for (let i = start + 1; i < start + row; i++) planes[i] = (planes[i]! + planes[i - 1]!) & 255;
  }
}
