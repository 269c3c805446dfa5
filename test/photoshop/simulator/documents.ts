import type { Rectangle, Samples } from '../../../plugins/photoshop/api.ts';
import {
  channelsOf,
  type Depth,
  fromSRGB,
  quantise,
  type Space,
  samples,
  toSRGB,
  whiteOf,
} from './colours.ts';

export type Kind = 'pixel' | 'text' | 'smartObject' | 'group';

/** One or more interleaved channels inside a rectangle. */
export interface Plane {
  readonly bounds: Rectangle;
  readonly data: Samples;
}

/** Everything that undo restores. Planes are replaced, never written to. */
export interface LayerState {
  id: number;
  name: string;
  kind: Kind;
  visible: boolean;
  locked: boolean;
  isBackground: boolean;
  clipped: boolean;
  xmp: string;
  /** The document's channels, then alpha. */
  pixels: Plane;
  mask: Plane | undefined;
  opacity: number;
  blendMode: string;
  /** A group's layers, topmost first. */
  children: LayerState[];
}

/** A saved selection. */
export interface SavedSelection {
  readonly name: string;
  readonly plane: Plane;
}

export interface DocumentState {
  layers: LayerState[];
  selection: Plane | undefined;
  channels: SavedSelection[];
  active: number[];
}

export const none: Rectangle = { left: 0, top: 0, right: 0, bottom: 0 };

export function widthOf({ left, right }: Rectangle): number {
  return Math.max(0, right - left);
}

export function heightOf({ top, bottom }: Rectangle): number {
  return Math.max(0, bottom - top);
}

export function isNothing(bounds: Rectangle): boolean {
  return widthOf(bounds) === 0 || heightOf(bounds) === 0;
}

export function shared(a: Rectangle, b: Rectangle): Rectangle {
  const part = {
    left: Math.max(a.left, b.left),
    top: Math.max(a.top, b.top),
    right: Math.min(a.right, b.right),
    bottom: Math.min(a.bottom, b.bottom),
  };
  return isNothing(part) ? none : part;
}

export function joined(parts: readonly Rectangle[]): Rectangle {
  const full = parts.filter((part) => !isNothing(part));
  if (full.length === 0) return none;
  return {
    left: Math.min(...full.map(({ left }) => left)),
    top: Math.min(...full.map(({ top }) => top)),
    right: Math.max(...full.map(({ right }) => right)),
    bottom: Math.max(...full.map(({ bottom }) => bottom)),
  };
}

export function boundsOf(layer: LayerState): Rectangle {
  return layer.kind === 'group' ? joined(layer.children.map(boundsOf)) : layer.pixels.bounds;
}

export function copyLayer(layer: LayerState): LayerState {
  return { ...layer, children: layer.children.map(copyLayer) };
}

export function copyState(state: DocumentState): DocumentState {
  const { layers, active, channels } = state;
  return { ...state, layers: layers.map(copyLayer), active: [...active], channels: [...channels] };
}

export function find(layers: readonly LayerState[], id: number): LayerState | undefined {
  for (const layer of layers) {
    const found = layer.id === id ? layer : find(layer.children, id);
    if (found) return found;
  }
  return undefined;
}

/** The list a layer is in, and its position there. */
export function placeIn(layers: LayerState[], id: number): { list: LayerState[]; at: number } | undefined {
  const at = layers.findIndex((layer) => layer.id === id);
  if (at >= 0) return { list: layers, at };
  for (const layer of layers) {
    const found = placeIn(layer.children, id);
    if (found) return found;
  }
  return undefined;
}

/** A plane's sample, or `outside` beyond its bounds. */
function sampleAt(plane: Plane, channels: number, x: number, y: number, c: number, outside: number): number {
  const { left, top, right, bottom } = plane.bounds;
  if (x < left || x >= right || y < top || y >= bottom) return outside;
  return plane.data[((y - top) * (right - left) + x - left) * channels + c]!;
}

/**
 * All visible layers over each other, normal mode, inside `bounds`: channels of the document and alpha,
 * quantised. Beyond its own bounds a mask lets everything through: a mask smaller than its layer is a mistake
 * that shows.
 */
export function flatten(layers: readonly LayerState[], space: Space, bounds: Rectangle): Plane {
  const channels = channelsOf[space.mode] + 1;
  const [width, height] = [widthOf(bounds), heightOf(bounds)];
  const sum = new Float64Array(width * height * channels);
  paint(layers, space, bounds, sum);
  const data = samples(sum.length, space.depth);
  for (let i = 0; i < sum.length; i++) data[i] = quantise(sum[i]!, space.depth);
  return { bounds, data };
}

/** Alpha, from 0 to 1, of what is painted so far. */
interface Painted {
  readonly sum: Float64Array;
  readonly bounds: Rectangle;
}

/** A layer or group alone, before its clipping: a group with a mask or a base is painted apart. */
function paintApart(layer: LayerState, space: Space, bounds: Rectangle): Painted {
  const channels = channelsOf[space.mode] + 1;
  const white = whiteOf(space.depth);
  const width = widthOf(bounds);
  const sum = new Float64Array(width * heightOf(bounds) * channels);
  if (layer.kind === 'group') paint(layer.children, space, bounds, sum);
  const part = layer.kind === 'group' ? bounds : shared(layer.pixels.bounds, bounds);
  for (let y = part.top; y < part.bottom; y++) {
    for (let x = part.left; x < part.right; x++) {
      const to = ((y - bounds.top) * width + x - bounds.left) * channels;
      if (layer.kind !== 'group') {
        for (let c = 0; c < channels; c++) sum[to + c] = sampleAt(layer.pixels, channels, x, y, c, 0) / white;
      }
      if (layer.mask) sum[to + channels - 1]! *= sampleAt(layer.mask, 1, x, y, 0, white) / white;
    }
  }
  return { sum, bounds };
}

function paint(layers: readonly LayerState[], space: Space, bounds: Rectangle, sum: Float64Array): void {
  const channels = channelsOf[space.mode] + 1;
  const count = widthOf(bounds) * heightOf(bounds);
  for (let l = layers.length - 1; l >= 0; l--) {
    const layer = layers[l]!;
    if (!layer.visible) continue;
    if (layer.kind === 'group' && !layer.mask && !layer.clipped) {
      paint(layer.children, space, bounds, sum);
      continue;
    }
    // What is clipped shows where its base does; a base that is hidden hides all that is clipped to it.
    const base = layer.clipped ? layers.slice(l + 1).find(({ clipped }) => !clipped) : undefined;
    if (base && !base.visible) continue;
    const own = paintApart(layer, space, bounds).sum;
    const under = base && paintApart(base, space, bounds).sum;
    for (let i = 0; i < count; i++) {
      const at = (i + 1) * channels - 1;
      const alpha = own[at]! * (under ? under[at]! : 1);
      if (alpha === 0) continue;
      const rest = sum[at]! * (1 - alpha);
      const total = alpha + rest;
      for (let c = i * channels; c < at; c++) sum[c] = (own[c]! * alpha + sum[c]! * rest) / total;
      sum[at] = total;
    }
  }
}

/** A plane of the document as sRGB, with alpha or without, at a depth of 8 or 16 bits. */
export function asSRGB(plane: Plane, space: Space, depth: Depth, withAlpha: boolean): Samples {
  const channels = channelsOf[space.mode];
  const white = whiteOf(space.depth);
  const count = plane.data.length / (channels + 1);
  const components = withAlpha ? 4 : 3;
  const data = samples(count * components, depth);
  const isSame = space.mode === 'RGB' && space.profile.startsWith('sRGB') && space.depth === depth;
  for (let i = 0; i < count; i++) {
    const from = i * (channels + 1);
    if (isSame) {
      for (let c = 0; c < components; c++) data[i * components + c] = plane.data[from + c]!;
      continue;
    }
    const native = Array.from(plane.data.subarray(from, from + channels), (value) => value / white);
    toSRGB(space, native).forEach((value, c) => {
      data[i * components + c] = quantise(value, depth);
    });
    if (withAlpha) data[i * 4 + 3] = quantise(plane.data[from + channels]! / white, depth);
  }
  return data;
}

/** sRGB with 3 or 4 components as the document's channels and alpha. */
export function fromSRGBPlane(source: Samples, components: number, depth: Depth, space: Space): Samples {
  const channels = channelsOf[space.mode];
  const white = whiteOf(depth);
  const count = source.length / components;
  const data = samples(count * (channels + 1), space.depth);
  const isSame = space.mode === 'RGB' && space.profile.startsWith('sRGB');
  for (let i = 0; i < count; i++) {
    const pixel = [0, 1, 2].map((c) => source[i * components + c]! / white) as [number, number, number];
    // Floats are linear light already.
    const native =
      isSame && (depth === 32) === (space.depth === 32)
        ? pixel
        : fromSRGB(space, depth === 32 ? encoded(pixel) : pixel);
    for (let c = 0; c < channels; c++) {
      data[i * (channels + 1) + c] =
        isSame && space.depth === depth ? source[i * components + c]! : quantise(native[c]!, space.depth);
    }
    const alpha = components === 4 ? source[i * 4 + 3]! / white : 1;
    data[i * (channels + 1) + channels] = quantise(alpha, space.depth);
  }
  return data;
}

function encoded(linear: readonly number[]): [number, number, number] {
  return toSRGB({ mode: 'RGB', profile: 'sRGB IEC61966-2.1', depth: 32 }, linear);
}

/** A part of a plane, inside its bounds. */
export function cut(plane: Plane, channels: number, bounds: Rectangle): Plane {
  const width = widthOf(bounds);
  const data = plane.data.slice(0, 0).constructor as new (length: number) => Samples;
  const part = new data(width * heightOf(bounds) * channels);
  for (let y = bounds.top; y < bounds.bottom; y++) {
    const from =
      ((y - plane.bounds.top) * widthOf(plane.bounds) + bounds.left - plane.bounds.left) * channels;
    part.set(plane.data.subarray(from, from + width * channels), (y - bounds.top) * width * channels);
  }
  return { bounds, data: part };
}

/**
 * A selection is as large as what it selects, and pixels as what is not transparent; none at all where that
 * is nothing.
 */
export function trimmed(plane: Plane, channels = 1): Plane | undefined {
  const { bounds, data } = plane;
  const width = widthOf(bounds);
  let [left, top, right, bottom] = [bounds.right, bounds.bottom, bounds.left, bounds.top];
  for (let i = 0; i < data.length / channels; i++) {
    if (data[(i + 1) * channels - 1] === 0) continue;
    const [x, y] = [bounds.left + (i % width), bounds.top + Math.floor(i / width)];
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return left < right ? cut(plane, channels, { left, top, right, bottom }) : undefined;
}

/** A layer's pixels under its user mask, trimmed to the visible area. */
export function maskedPixels({ pixels, mask }: LayerState, space: Space): Plane {
  if (!mask) return pixels;
  const channels = channelsOf[space.mode] + 1;
  const white = whiteOf(space.depth);
  const width = widthOf(pixels.bounds);
  const data = pixels.data.slice();
  for (let i = 0; i < data.length / channels; i++) {
    const [x, y] = [pixels.bounds.left + (i % width), pixels.bounds.top + Math.floor(i / width)];
    const at = (i + 1) * channels - 1;
    const alpha = (data[at]! / white) * (sampleAt(mask, 1, x, y, 0, white) / white);
    data[at] = quantise(alpha, space.depth);
  }
  return trimmed({ bounds: pixels.bounds, data }, channels) ?? { bounds: none, data: data.slice(0, 0) };
}
