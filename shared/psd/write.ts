/**
 * Writes Photoshop documents, PSD and PSB (Adobe, "Photoshop File Formats Specification"): 8 or 16 bits, RGB
 * or grey, with profile, resolution, layers, groups, layer masks and the flattened picture. ag-psd only
 * writes 8-bit RGB without a profile.
 */
import { type Bounds, boundsOf, type Size } from '../bounds.ts';
import { hasAlpha, isGrey, type Samples } from '../samples.ts';
import { ByteWriter } from './bytes.ts';
import { onWhite, type Plane, packPlanes, planeOf, whitePlane } from './planes.ts';

export interface PSDLayer {
  readonly kind: 'layer';
  readonly name: string;
  /** Position on the canvas; may extend beyond the canvas on any side. */
  readonly bounds: Bounds;
  /** The size of `bounds`. */
  readonly pixels: Samples;
  /** A layer mask the size of `bounds`, 0 outside them; white shows the layer. */
  readonly mask?: Plane;
  readonly visible: boolean;
}

export interface PSDGroup {
  readonly kind: 'group';
  readonly name: string;
  /** Bottom to top. */
  readonly children: readonly PSDNode[];
  readonly visible: boolean;
}

export type PSDNode = PSDLayer | PSDGroup;

export interface PSDDocument {
  /** The flattened picture, the size of the canvas: sets size, depth and mode; all layers share them. */
  readonly flat: Samples;
  /** Bottom to top. */
  readonly layers: readonly PSDNode[];
  readonly icc?: Uint8Array | undefined;
  readonly pixelsPerInch?: number | undefined;
  readonly xmp?: string | undefined;
}

/** Limits of a PSD; anything larger has to be a PSB (the specification, "File Header Section"). */
const largestSide = 30_000;
const largestFile = 2 ** 31;

/**
 * Whether a document needs a PSB: assumes that the layers take as much space as one more picture of its size.
 */
export function needsPSB({ width, height, channels, data }: Samples): boolean {
  return (
    Math.max(width, height) > largestSide ||
    width * height * channels * data.BYTES_PER_ELEMENT * 3 > largestFile
  );
}

/** @param isLarge PSB instead of PSD */
export function writePSD(psd: PSDDocument, isLarge = needsPSB(psd.flat)): Uint8Array<ArrayBuffer> {
  const { flat, layers } = psd;
  const isDeep = flat.data instanceof Uint16Array;
  const out = new ByteWriter();
  out
    .ascii('8BPS')
    .u16(isLarge ? 2 : 1)
    .zeros(6)
    .u16(flat.channels)
    .u32(flat.height)
    .u32(flat.width);
  out.u16(isDeep ? 16 : 8).u16(isGrey(flat) ? 1 : 3);
  out.u32(0);
  const resources = imageResources(psd);
  out.u32(resources.length).append(resources);
  const section = layers.length > 0 ? layerSection(layers, flat, isLarge) : new ByteWriter();
  writeLength(out, section.length, isLarge).append(section);
  return out.append(packPlanes(flattenedPlanes(flat), flat.width, isLarge)).toBytes();
}

function writeLength(out: ByteWriter, length: number, isLarge: boolean): ByteWriter {
  return isLarge ? out.u64(length) : out.u32(length);
}

function flattenedPlanes(flat: Samples): Plane[] {
  const colours = isGrey(flat) ? 1 : 3;
  const planes = Array.from({ length: flat.channels }, (_, c) => planeOf(flat, c));
  const alpha = planes[colours];
  return alpha ? planes.map((plane, c) => (c < colours ? onWhite(plane, alpha) : plane)) : planes;
}

function imageResources({ icc, pixelsPerInch, xmp }: PSDDocument): ByteWriter {
  const out = new ByteWriter();
  const add = (id: number, data: ByteWriter) => {
    out.ascii('8BIM').u16(id).u16(0).u32(data.length).append(data).pad(2);
  };
  if (pixelsPerInch) {
    const fixed = Math.min(0xffffffff, Math.round(pixelsPerInch * 65536));
    // Displayed in pixels per inch, and the sides in inches.
    add(1005, new ByteWriter().u32(fixed).u16(1).u16(1).u32(fixed).u16(1).u16(1));
  }
  if (icc) add(1039, new ByteWriter().bytes(icc));
  const program = 'ACE++ Layers';
  // States that the flattened picture is included; otherwise readers may assume that it isn't.
  add(1057, unicode(unicode(new ByteWriter().u32(1).u8(1), program), program).u32(1));
  if (xmp) add(1060, new ByteWriter().bytes(new TextEncoder().encode(xmp)));
  return out;
}

function unicode(out: ByteWriter, text: string): ByteWriter {
  out.u32(text.length);
  for (let i = 0; i < text.length; i++) out.u16(text.charCodeAt(i));
  return out;
}

function layerSection(layers: readonly PSDNode[], flat: Samples, isLarge: boolean): ByteWriter {
  const info = layerInfo(layers, flat, isLarge);
  if (!(flat.data instanceof Uint16Array)) {
    const section = writeLength(new ByteWriter(), info.length, isLarge).append(info);
    return section.u32(0).pad(4);
  }
  // At 16 bits, Photoshop stores the layers in their own block, after empty ones (psd-tools,
  // psd/layer_and_mask.py).
  const section = writeLength(new ByteWriter(), 0, isLarge).u32(0).ascii('8BIM').ascii('Lr16');
  return writeLength(section, info.length, isLarge).append(info).pad(4);
}

function layerInfo(layers: readonly PSDNode[], flat: Samples, isLarge: boolean): ByteWriter {
  const entries = layers.flatMap((node) => entriesOf(node, flat, isLarge));
  // Negative if the flattened picture's first channel after the colours is its transparency.
  const info = new ByteWriter().i16(hasAlpha(flat) ? -entries.length : entries.length);
  for (const { record } of entries) info.append(record);
  for (const { channels } of entries) for (const channel of channels) info.append(channel);
  return info.pad(4);
}

interface Entry {
  readonly record: ByteWriter;
  readonly channels: readonly ByteWriter[];
}

const nowhere: Bounds = { left: 0, top: 0, width: 0, height: 0 };
const groupEnd = '</Layer group>';

function entriesOf(node: PSDNode, flat: Samples, isLarge: boolean): Entry[] {
  if (node.kind === 'layer') return [pixelEntry(node, flat, isLarge)];
  const empty = () =>
    Array.from({ length: isGrey(flat) ? 2 : 4 }, (_, i) => [i - 1, new ByteWriter().u16(0)] as const);
  return [
    entry({ name: groupEnd, bounds: nowhere, visible: true, divider: 3 }, empty(), isLarge),
    ...node.children.flatMap((child) => entriesOf(child, flat, isLarge)),
    entry({ name: node.name, bounds: nowhere, visible: node.visible, divider: 1 }, empty(), isLarge),
  ];
}

function pixelEntry(
  { name, bounds, pixels, mask, visible }: PSDLayer,
  flat: Samples,
  isLarge: boolean,
): Entry {
  if (isGrey(pixels) !== isGrey(flat) || pixels.data.BYTES_PER_ELEMENT !== flat.data.BYTES_PER_ELEMENT) {
    throw new TypeError(`the layer "${name}" is of another mode or depth than its document`);
  }
  if (pixels.width !== bounds.width || pixels.height !== bounds.height) {
    throw new TypeError(`the layer "${name}" is of another size than its bounds`);
  }
  const colours = isGrey(pixels) ? 1 : 3;
  const planes: [number, Plane][] = [[-1, hasAlpha(pixels) ? planeOf(pixels, colours) : whitePlane(pixels)]];
  for (let c = 0; c < colours; c++) planes.push([c, planeOf(pixels, c)]);
  if (mask) planes.push([-2, mask]);
  const channels = planes.map(([id, plane]) => [id, packPlanes([plane], bounds.width, isLarge)] as const);
  return entry({ name, bounds, visible, divider: 0, hasMask: mask !== undefined }, channels, isLarge);
}

interface RecordParts {
  readonly name: string;
  readonly bounds: Bounds;
  readonly visible: boolean;
  /** 0: a layer; 1: an open group; 3: the end of one. */
  readonly divider: number;
  readonly hasMask?: boolean;
}

function entry(
  parts: RecordParts,
  channels: readonly (readonly [number, ByteWriter])[],
  isLarge: boolean,
): Entry {
  const { name, bounds, visible, divider, hasMask } = parts;
  const record = rectangle(new ByteWriter(), bounds).u16(channels.length);
  for (const [id, { length }] of channels) writeLength(record.i16(id), length, isLarge);
  // Flags: 2 is hidden; 8 says that 16, "pixels irrelevant", is meaningful.
  const flags = (visible ? 0 : 2) | 8 | (divider ? 16 : 0);
  record
    .ascii('8BIM')
    .ascii(divider === 1 ? 'pass' : 'norm')
    .u8(255)
    .u8(0)
    .u8(flags)
    .u8(0);
  const extra = new ByteWriter();
  if (hasMask) rectangle(extra.u32(20), bounds).u8(0).u8(0).zeros(2);
  else extra.u32(0);
  extra.u32(0);
  // The legacy name, up to 31 characters; the full name follows in Unicode.
  const pascal = name.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 31);
  extra.append(new ByteWriter().u8(pascal.length).ascii(pascal).pad(4));
  block(extra, 'luni', unicode(new ByteWriter(), name).pad(4));
  if (divider === 1) block(extra, 'lsct', new ByteWriter().u32(divider).ascii('8BIM').ascii('pass'));
  if (divider === 3) block(extra, 'lsct', new ByteWriter().u32(divider));
  record.u32(extra.length).append(extra);
  return { record, channels: channels.map(([, data]) => data) };
}

function rectangle(out: ByteWriter, { left, top, width, height }: Bounds): ByteWriter {
  return out
    .i32(top)
    .i32(left)
    .i32(top + height)
    .i32(left + width);
}

function block(out: ByteWriter, key: string, data: ByteWriter): void {
  out.ascii('8BIM').ascii(key).u32(data.length).append(data);
}

/** A layer that covers the canvas. */
export function wholeLayer(name: string, pixels: Samples & Size): PSDLayer {
  return { kind: 'layer', name, bounds: boundsOf(pixels), pixels, visible: true };
}
