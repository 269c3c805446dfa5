import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, intersect } from '../../shared/bounds.ts';
import { linearFromSRGB } from '../../shared/colour.ts';
import type { Mask } from '../../shared/mask.ts';
import type { Pixels } from '../panel/host.ts';
import type { PhotoshopImageData, Read, Rectangle, Samples } from './api.ts';
import { imaging } from './modules.ts';

/** Photoshop's white in 16 bits. */
const white15 = 32768;
const white16 = 65535;

export const sRGB = 'sRGB IEC61966-2.1';
const grey = 'Gray Gamma 2.2';

export function toRectangle({ left, top, width, height }: Bounds): Rectangle {
  return { left, top, right: left + width, bottom: top + height };
}

export function toBounds({ left, top, right, bottom }: Rectangle): Bounds {
  return { left, top, width: right - left, height: bottom - top };
}

export function isEmpty({ width, height }: Bounds): boolean {
  return width <= 0 || height <= 0;
}

/**
 * Pads what was read to RGBA over all of `window`: transparent where Photoshop trimmed it.
 * @returns 8 or 16 bits, as read; 16 bits range from 0 to 65535
 */
export async function padPixels(read: Read, window: Bounds): Promise<Pixels> {
  const { imageData, sourceBounds } = read;
  const source = await imageData.getData({ chunky: true });
  const { components } = imageData;
  const { width, height } = window;
  const deep = source instanceof Uint16Array;
  const data = deep ? new Uint16Array(width * height * 4) : new Uint8Array(width * height * 4);
  const placed = { ...toBounds(sourceBounds), width: imageData.width, height: imageData.height };
  const shared = intersect(placed, window);
  for (let y = shared.top; y < shared.top + shared.height; y++) {
    for (let x = shared.left; x < shared.left + shared.width; x++) {
      const from = ((y - placed.top) * placed.width + x - placed.left) * components;
      const to = ((y - window.top) * width + x - window.left) * 4;
      for (let c = 0; c < 4; c++) {
        const value = c < components ? source[from + c]! : deep ? white15 : 255;
        data[to + c] = deep ? Math.round((value * white16) / white15) : value;
      }
    }
  }
  return { width, height, data } as Pixels;
}

/** Pads a selection or mask to 8 bits over all of `window`: 0 where Photoshop trimmed it. */
export async function padMask(read: Read, window: Bounds): Promise<Uint8Array<ArrayBuffer>> {
  const { imageData, sourceBounds } = read;
  const source = await imageData.getData({ chunky: true });
  const white = source instanceof Uint8Array ? 255 : source instanceof Uint16Array ? white15 : 1;
  const data = new Uint8Array(window.width * window.height);
  const placed = { ...toBounds(sourceBounds), width: imageData.width, height: imageData.height };
  const shared = intersect(placed, window);
  for (let y = shared.top; y < shared.top + shared.height; y++) {
    for (let x = shared.left; x < shared.left + shared.width; x++) {
      const value = source[(y - placed.top) * placed.width + x - placed.left]!;
      data[(y - window.top) * window.width + x - window.left] = Math.round((value * 255) / white);
    }
  }
  return data;
}

/** A layer's colours without its alpha, at the document's bit depth. */
export function toImageData(pixels: Pixels, depth: 8 | 16 | 32): Promise<PhotoshopImageData> {
  const { width, height, data } = pixels;
  const samples = emptySamples(width * height * 3, depth);
  const white = data instanceof Uint16Array ? white16 : 255;
  for (let i = 0, to = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++) samples[to++] = atDepth(data[i + c]! / white, depth, linearFromSRGB);
  }
  return imaging.createImageDataFromBuffer(samples, {
    width,
    height,
    components: 3,
    chunky: true,
    colorSpace: 'RGB',
    colorProfile: sRGB,
  });
}

/**
 * A layer's alpha as a mask for the whole canvas: how Photoshop fills beyond a smaller one is undocumented.
 */
export function toMaskImageData(
  pixels: Pixels,
  at: Pick<Bounds, 'left' | 'top'>,
  canvas: { readonly width: number; readonly height: number },
  depth: 8 | 16 | 32,
): Promise<PhotoshopImageData> {
  const { data, width } = pixels;
  const white = data instanceof Uint16Array ? white16 : 255;
  const samples = emptySamples(canvas.width * canvas.height, depth);
  const shared = intersect({ ...at, width, height: pixels.height }, boundsOf(canvas));
  for (let y = shared.top; y < shared.top + shared.height; y++) {
    for (let x = shared.left; x < shared.left + shared.width; x++) {
      const alpha = data[((y - at.top) * width + x - at.left) * 4 + 3]! / white;
      samples[y * canvas.width + x] = atDepth(alpha, depth, (value) => value);
    }
  }
  return toGreyImageData(samples, canvas);
}

export function toSelectionImageData(mask: Mask): Promise<PhotoshopImageData> {
  return toGreyImageData(mask.data, mask);
}

function toGreyImageData(
  samples: Samples,
  { width, height }: { readonly width: number; readonly height: number },
): Promise<PhotoshopImageData> {
  return imaging.createImageDataFromBuffer(samples, {
    width,
    height,
    components: 1,
    chunky: true,
    colorSpace: 'Grayscale',
    colorProfile: grey,
  });
}

function emptySamples(length: number, depth: 8 | 16 | 32): Samples {
  if (depth === 8) return new Uint8Array(length);
  return depth === 16 ? new Uint16Array(length) : new Float32Array(length);
}

/**
 * @param linear 32 bits hold linear light, whatever the profile (Adobe, "Imaging API": "(Linear RGB
 * Profile)")
 */
function atDepth(value: number, depth: 8 | 16 | 32, linear: (value: number) => number): number {
  if (depth === 8) return Math.round(value * 255);
  return depth === 16 ? Math.round(value * white15) : linear(value);
}

/** Uses a Photoshop resource and always disposes of it: garbage collection comes too late. */
export async function using<T>(
  imageData: PhotoshopImageData,
  work: (imageData: PhotoshopImageData) => Promise<T>,
): Promise<T> {
  try {
    return await work(imageData);
  } finally {
    imageData.dispose();
  }
}
