import type { Bounds, Size } from './bounds.ts';
import { type Raster, whiteOf } from './image.ts';

/** [height, width]: 255 = regenerate, 0 = keep, between = feather. */
export interface Mask extends Size {
  readonly data: Uint8Array;
}

export function filledMask(size: Size): Mask {
  return { ...size, data: new Uint8Array(size.width * size.height).fill(255) };
}

/** The smallest rectangle that contains everything above 0; undefined if nothing is painted. */
export function maskBounds(mask: Mask): Bounds | undefined {
  const { width, height, data } = mask;
  let left = width;
  let right = -1;
  let top = -1;
  let bottom = -1;
  for (let y = 0; y < height; y++) {
    const start = y * width;
    let first = 0;
    while (first < width && data[start + first] === 0) first++;
    if (first === width) continue;
    let last = width - 1;
    while (data[start + last] === 0) last--;
    if (top < 0) top = y;
    bottom = y;
    left = Math.min(left, first);
    right = Math.max(right, last);
  }
  return top < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The part inside `bounds`; 0 beyond the mask's edge. */
export function cutMask(mask: Mask, bounds: Bounds): Mask {
  const data = new Uint8Array(bounds.width * bounds.height);
  const from = Math.max(0, bounds.left);
  const to = Math.min(mask.width, bounds.left + bounds.width);
  for (let y = 0; y < bounds.height && to > from; y++) {
    const row = y + bounds.top;
    if (row < 0 || row >= mask.height) continue;
    data.set(
      mask.data.subarray(row * mask.width + from, row * mask.width + to),
      y * bounds.width + from - bounds.left,
    );
  }
  return { width: bounds.width, height: bounds.height, data };
}

/** 255 where the mask is at least `threshold`, 0 elsewhere. */
export function binarise(mask: Mask, threshold = 128): Mask {
  return { ...mask, data: mask.data.map((value) => (value >= threshold ? 255 : 0)) };
}

/**
 * The mask dilated by `radius` pixels on every side, with square corners; its feather is kept and moves
 * outwards.
 */
export function dilate(mask: Mask, radius: number): Mask {
  if (radius < 1) return mask;
  const { width, height } = mask;
  const across = new Uint8Array(mask.data.length);
  const data = new Uint8Array(mask.data.length);
  for (let y = 0; y < height; y++) slideMaximum(mask.data, across, y * width, 1, width, radius);
  for (let x = 0; x < width; x++) slideMaximum(across, data, x, width, height, radius);
  return { width, height, data };
}

/**
 * The maximum over `2 * radius + 1` elements, in two passes over blocks (van Herk 1992); time independent of
 * the radius.
 */
function slideMaximum(
  from: Uint8Array,
  to: Uint8Array,
  start: number,
  stride: number,
  length: number,
  radius: number,
): void {
  const block = 2 * radius + 1;
  const padded = Math.ceil((length + 2 * radius) / block) * block;
  const forward = new Uint8Array(padded);
  const backward = new Uint8Array(padded);
  const at = (i: number) => (i < radius || i >= length + radius ? 0 : from[start + (i - radius) * stride]!);
  for (let i = 0; i < padded; i++) {
    forward[i] = i % block === 0 ? at(i) : Math.max(forward[i - 1]!, at(i));
  }
  for (let i = padded - 1; i >= 0; i--) {
    backward[i] = i % block === block - 1 ? at(i) : Math.max(backward[i + 1]!, at(i));
  }
  for (let i = 0; i < length; i++) {
    to[start + i * stride] = Math.max(backward[i]!, forward[i + 2 * radius]!);
  }
}

/**
 * Whether the mask ends abruptly: the band of values between 0 and 255 is thinner than about two pixels, as
 * from a selection or an antialiased brush.
 */
export function isHardEdged(mask: Mask): boolean {
  const { width, height, data } = mask;
  let between = 0;
  let boundary = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = data[y * width + x]!;
      if (value > 0 && value < 255) between++;
      const inside = value >= 128;
      if (x + 1 < width && inside !== data[y * width + x + 1]! >= 128) boundary++;
      if (y + 1 < height && inside !== data[(y + 1) * width + x]! >= 128) boundary++;
    }
  }
  return between <= 2 * boundary;
}

/**
 * Values up to this count as 0, and values this close to 255 as 255: resampled, converted or lossy masks are
 * rarely pure.
 */
export const maskTolerance = 4;

/** The mask with near-black snapped to black, and near-white to white. */
export function snapMask(mask: Mask, tolerance = maskTolerance): Mask {
  const snap = (value: number) => (value <= tolerance ? 0 : value >= 255 - tolerance ? 255 : value);
  return { ...mask, data: mask.data.map(snap) };
}

/** The largest value of the mask. */
export function maskPeak(mask: Mask): number {
  let peak = 0;
  for (const value of mask.data) if (value > peak) peak = value;
  return peak;
}

/** Turns a stored mask upright by its EXIF orientation (EXIF 2.32, tag 274): 5 to 8 swap the sides. */
export function turnMask(mask: Mask, orientation: number): Mask {
  const { width, height } = mask;
  const swaps = orientation > 4;
  const turned = swaps ? { width: height, height: width } : { width, height };
  const data = new Uint8Array(mask.data.length);
  for (let y = 0; y < turned.height; y++) {
    for (let x = 0; x < turned.width; x++) {
      const [u, v] = swaps ? [y, x] : [x, y];
      // Where the stored picture's first row and column are displayed.
      const isFromRight = [2, 3, 7, 8].includes(orientation);
      const isFromBelow = [3, 4, 6, 7].includes(orientation);
      const from = (isFromBelow ? height - 1 - v : v) * width + (isFromRight ? width - 1 - u : u);
      data[y * turned.width + x] = mask.data[from]!;
    }
  }
  return { ...turned, data };
}

/** Lengths of a straight and a diagonal step in the chamfer distance (Borgefors 1986). */
const straight = 3;
const diagonal = 4;
const far = 0xffff - diagonal;

/**
 * Chamfer distance of every pixel to the nearest pixel where `isZero`, in thirds of a pixel. Everything
 * beyond the array counts as far away.
 */
function chamferDistance({ width, height }: Size, isZero: (i: number) => boolean): Uint16Array {
  const distance = new Uint16Array(width * height);
  const near = (x: number, y: number, step: number) =>
    x < 0 || y < 0 || x >= width || y >= height ? far : Math.min(far, distance[y * width + x]! + step);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (isZero(i)) continue;
      distance[i] = Math.min(
        near(x - 1, y, straight),
        near(x, y - 1, straight),
        near(x - 1, y - 1, diagonal),
        near(x + 1, y - 1, diagonal),
      );
    }
  }
  for (let y = height - 1; y >= 0; y--) {
    for (let x = width - 1; x >= 0; x--) {
      const i = y * width + x;
      if (distance[i] === 0) continue;
      distance[i] = Math.min(
        distance[i]!,
        near(x + 1, y, straight),
        near(x, y + 1, straight),
        near(x + 1, y + 1, diagonal),
        near(x - 1, y + 1, diagonal),
      );
    }
  }
  return distance;
}

/**
 * Half the mask's thickness at each pixel, up to `most`, in thirds of a pixel: the radius of the largest disc
 * that covers the pixel and lies in the mask (Hildebrand and Rüegsegger, J. Microscopy 185, 1997).
 * @param depth distance to the outside of the mask
 */
function localThickness(size: Size, depth: Uint16Array, most: number): Uint16Array {
  const thickness = depth.map((value) => Math.min(value, most));
  // More levels would not be visible, and each costs two passes over the mask.
  const step = Math.max(straight, Math.ceil(most / 16 / straight) * straight);
  for (let radius = step; radius < most + step; radius += step) {
    const level = Math.min(radius, most);
    const toCentre = chamferDistance(size, (i) => depth[i]! >= level);
    for (let i = 0; i < thickness.length; i++) {
      if (depth[i]! > 0 && toCentre[i]! < level && thickness[i]! < level) thickness[i] = level;
    }
  }
  return thickness;
}

/**
 * Feathers the mask inwards over `radius` pixels: it never rises above its old value, stays 0 wherever it was
 * 0, and stays above 0 wherever it was. The edge of the array counts as inside, because a picture's edge
 * needs no feather. Parts thinner than the feather get a narrower one, by their thickness at each pixel, so
 * that their middle stays full.
 */
export function featherInward(mask: Mask, radius: number): Mask {
  const depth = chamferDistance(mask, (i) => mask.data[i] === 0);
  const thickness = localThickness(mask, depth, (radius + 1) * straight);
  const data = mask.data.map((value, i) => {
    if (value === 0) return 0;
    const share = Math.min(1, depth[i]! / thickness[i]!);
    return Math.max(1, Math.round(value * share * share * (3 - 2 * share)));
  });
  return { ...mask, data };
}

/**
 * The straight alpha of a layer at `bounds`: the user's mask, feathered where it ends abruptly.
 * @param pixel size of a pixel of the model in the document
 * @param picture the document, if there is one: the layer covers its transparent ground as painted
 */
export function layerAlpha(mask: Mask, bounds: Bounds, pixel: number, picture?: Raster): Mask {
  const painted = cutMask(mask, bounds);
  const alpha = softened(mask, painted, bounds, pixel);
  return picture?.channels === 4 ? coveringGround(alpha, painted, picture, bounds) : alpha;
}

/** Feathers a mask that ends abruptly inwards, by about one and a half pixels of the model. */
function softened(mask: Mask, painted: Mask, bounds: Bounds, pixel: number): Mask {
  // Include one pixel around, so that only the picture's own edge counts as an edge without a feather.
  if (!isHardEdged(painted)) return painted;
  const around = {
    left: Math.max(0, bounds.left - 1),
    top: Math.max(0, bounds.top - 1),
    right: Math.min(mask.width, bounds.left + bounds.width + 1),
    bottom: Math.min(mask.height, bounds.top + bounds.height + 1),
  };
  const outer = {
    left: around.left,
    top: around.top,
    width: around.right - around.left,
    height: around.bottom - around.top,
  };
  const soft = featherInward(cutMask(mask, outer), Math.max(2, Math.round(1.5 * pixel)));
  return cutMask(soft, { ...bounds, left: bounds.left - outer.left, top: bounds.top - outer.top });
}

/**
 * Where the document is transparent, a feather has nothing to blend into: to that extent the layer covers it
 * as painted.
 */
function coveringGround(alpha: Mask, painted: Mask, edit: Raster, { left, top }: Bounds): Mask {
  const white = whiteOf(edit);
  const data = new Uint8Array(alpha.data.length);
  for (let y = 0; y < alpha.height; y++) {
    for (let x = 0; x < alpha.width; x++) {
      const i = y * alpha.width + x;
      const there = edit.data[((y + top) * edit.width + x + left) * 4 + 3]! / white;
      data[i] = Math.max(alpha.data[i]!, Math.min(painted.data[i]!, Math.round(255 * (1 - there))));
    }
  }
  return { ...alpha, data };
}
