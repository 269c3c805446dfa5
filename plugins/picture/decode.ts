import { CodedError } from '../../shared/errors.ts';
import { formatOf, signatureBytes } from '../../shared/picture-format.ts';
import type { Picture, Reference } from '../panel/host.ts';
import { newUUID } from '../panel/uuid.ts';

/** Beyond this, a canvas in common browsers stays empty without an error. */
const maxPixels = 16384 * 16384;
const maxSide = 16384;

/** References only guide the edit: they are sent with at most this many pixels a side. */
const maxReferenceSide = 2048;
const thumbnailSide = 96;

/**
 * Decodes a picture to 8-bit sRGB, upright by its EXIF orientation.
 * Opaque pixels are exact. The browser's canvas premultiplies, so partly transparent pixels may have rounded
 * colours, and fully transparent ones lose theirs.
 * @throws CodedError `image-invalid` or `too-large`
 */
export async function decodePicture(file: Blob, name: string): Promise<Picture> {
  const bitmap = await decodeBitmap(file, name);
  try {
    return pixelsOf(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** @throws CodedError `image-invalid` or `too-large` */
export async function decodeReference(file: Blob, name: string): Promise<Reference> {
  const bitmap = await decodeBitmap(file, name);
  try {
    const scale = Math.min(1, maxReferenceSide / Math.max(bitmap.width, bitmap.height));
    const picture = pixelsOf(bitmap, sized(bitmap.width, scale), sized(bitmap.height, scale));
    const small = Math.min(1, thumbnailSide / Math.max(bitmap.width, bitmap.height));
    const canvas = newCanvas(sized(bitmap.width, small), sized(bitmap.height, small));
    context(canvas).drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return { id: newUUID(), name, thumbnail: canvas.toDataURL('image/png'), picture };
  } finally {
    bitmap.close();
  }
}

/** U8 `[height, width]` from the brightness of a mask picture: white = regenerate. */
export async function decodeMask(file: Blob, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { data, width, height } = await decodePicture(file, name);
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) mask[i] = data[i * 4]!;
  return mask;
}

export function newCanvas(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

export function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const found = canvas.getContext('2d', { willReadFrequently: true });
  if (!found) {
    throw new CodedError('out-of-memory', {
      detail: `The browser has no memory for a picture of ${canvas.width}x${canvas.height}.`,
      remedy: 'Close other tabs, or use a smaller picture.',
    });
  }
  return found;
}

/** A canvas with the picture drawn on it. */
export function toCanvas(picture: Picture): HTMLCanvasElement {
  const canvas = newCanvas(picture.width, picture.height);
  const pixels = new Uint8ClampedArray(picture.data.buffer, picture.data.byteOffset, picture.data.length);
  context(canvas).putImageData(new ImageData(pixels, picture.width, picture.height), 0, 0);
  return canvas;
}

function sized(side: number, scale: number): number {
  return Math.max(1, Math.round(side * scale));
}

function pixelsOf(bitmap: ImageBitmap, width: number, height: number): Picture {
  const drawing = context(newCanvas(width, height));
  drawing.imageSmoothingQuality = 'high';
  drawing.drawImage(bitmap, 0, 0, width, height);
  const { data } = drawing.getImageData(0, 0, width, height);
  return { width, height, data: new Uint8Array(data.buffer as ArrayBuffer) };
}

async function decodeBitmap(file: Blob, name: string): Promise<ImageBitmap> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch (cause) {
    const format = formatOf(new Uint8Array(await file.slice(0, signatureBytes).arrayBuffer()));
    throw new CodedError('image-invalid', {
      detail:
        format.name === 'empty'
          ? `"${name}" has 0 bytes.`
          : `"${name}" could not be opened as a picture; its format is ${format.name}.`,
      remedy: format.encoding
        ? 'It may be damaged, or this browser does not read it: save it as PNG, JPEG or WebP.'
        : 'Save it as PNG, JPEG or WebP.',
      cause,
    });
  }
  const { width, height } = bitmap;
  if (width * height > maxPixels || Math.max(width, height) > maxSide) {
    bitmap.close();
    throw new CodedError('too-large', {
      detail: `"${name}" has ${width}x${height} pixels; the page can show up to ${maxSide} a side.`,
      remedy: 'Use a smaller picture, or the command line.',
    });
  }
  return bitmap;
}
