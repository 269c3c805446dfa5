import type { Bounds, Size } from './bounds.ts';
import { type Raster, whiteOf } from './image.ts';

/** [height, width]: 255 = regenerate, 0 = keep, between = feather. */
export interface Mask extends Size {
  readonly data: Uint8Array;
}

export function filledMask(size: Size): Mask {
  return { ...size, data: new Uint8Array(size.width * size.height).fill(255) };
}

/** The smallest rectangle with everything that is not 0; undefined where nothing is painted. */
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

/** The part inside `bounds`; beyond the mask's edge it is 0. */
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

/** The mask grown by `radius` pixels to every side, with square corners; feather is kept and moves outwards. */
export function dilate(mask: Mask, radius: number): Mask {
  if (radius < 1) return mask;
  const { width, height } = mask;
  const across = new Uint8Array(mask.data.length);
  const data = new Uint8Array(mask.data.length);
  for (let y = 0; y < height; y++) slideMaximum(mask.data, across, y * width, 1, width, radius);
  for (let x = 0; x < width; x++) slideMaximum(across, data, x, width, height, radius);
  return { width, height, data };
}

/** The maximum over `2 * radius + 1` elements, in two passes over blocks (van Herk 1992): its time knows no radius. */
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
 * Whether the mask ends abruptly: the band of values between 0 and 255 is thinner than about two pixels, as a
 * selection or an antialiased brush leaves it.
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

/** Lengths of a straight and of a diagonal step in the chamfer distance (Borgefors 1986). */
const straight = 3;
const diagonal = 4;

/**
 * Softens the mask inwards over `radius` pixels: it never rises above what it was and is 0 wherever it was 0, but
 * is more than 0 wherever it was. The edge of the array counts as inside, as a picture's edge needs no feather.
 * Strokes thinner than the feather get a narrower one, so that their middle stays full.
 */
export function featherInward(mask: Mask, radius: number): Mask {
  const { width, height } = mask;
  const far = 0xffff - diagonal;
  const distance = new Uint16Array(mask.data.length);
  const near = (x: number, y: number, step: number) =>
    x < 0 || y < 0 || x >= width || y >= height ? far : distance[y * width + x]! + step;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (mask.data[i] === 0) continue;
      distance[i] = Math.min(
        far,
        near(x - 1, y, straight),
        near(x, y - 1, straight),
        near(x - 1, y - 1, diagonal),
        near(x + 1, y - 1, diagonal),
      );
    }
  }
  let deepest = 0;
  for (let y = height - 1; y >= 0; y--) {
    for (let x = width - 1; x >= 0; x--) {
      const i = y * width + x;
      if (mask.data[i] === 0) continue;
      distance[i] = Math.min(
        distance[i]!,
        near(x + 1, y, straight),
        near(x, y + 1, straight),
        near(x + 1, y + 1, diagonal),
        near(x - 1, y + 1, diagonal),
      );
      deepest = Math.max(deepest, distance[i]!);
    }
  }
  const full = Math.min((radius + 1) * straight, deepest);
  const data = mask.data.map((value, i) => {
    if (value === 0) return 0;
    const depth = Math.min(1, distance[i]! / full);
    return Math.max(1, Math.round(value * depth * depth * (3 - 2 * depth)));
  });
  return { width, height, data };
}

/**
 * The straight alpha of a layer at `bounds`: the person's mask, softened where it ends abruptly.
 * @param pixel size of a pixel of the model in the document
 * @param picture the document, if there is one: its transparent ground is covered as painted
 */
export function layerAlpha(mask: Mask, bounds: Bounds, pixel: number, picture?: Raster): Mask {
  const painted = cutMask(mask, bounds);
  const alpha = softened(mask, painted, bounds, pixel);
  return picture?.channels === 4 ? coveringGround(alpha, painted, picture, bounds) : alpha;
}

/** Softened inwards where the mask ends abruptly, by about one and a half pixels of the model. */
function softened(mask: Mask, painted: Mask, bounds: Bounds, pixel: number): Mask {
  // One pixel around, so that only the picture's own edge counts as an edge without a feather.
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

/** Where the document shows nothing, a softened edge has nothing to go over to: as far as that, the layer covers it as painted. */
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
