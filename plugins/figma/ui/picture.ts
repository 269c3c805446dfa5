import type { Bounds, Size } from '../../../shared/bounds.ts';
import type { Picture } from '../../panel/host.ts';
import { decodePicture } from '../../picture/decode.ts';
import { gridOf, type PixelGrid, wholePixels } from '../grid.ts';
import type { CaptureChoice, CapturedNode, NodePicture } from '../protocol.ts';
import type { Sandbox } from './sandbox.ts';

export interface DecodedCapture extends Omit<CapturedNode, 'picture'> {
  readonly edit: Picture;
  readonly grid: PixelGrid;
}

/**
 * Captures a node and decodes its picture: the fill's own pixels if Figma shows them as they are, else an
 * export.
 */
export async function captureDecoded(sandbox: Sandbox, choice: CaptureChoice): Promise<DecodedCapture> {
  const captured = await sandbox.call('capture', { choice, exportOnly: false });
  const fill = captured.picture.fill && (await decodeFill(captured.picture, captured.source.bounds));
  if (fill) return { ...captured, ...fill };
  const exported = captured.picture.fill
    ? await sandbox.call('capture', { choice, exportOnly: true })
    : captured;
  const edit = await decodePicture(blobOf(exported.picture.file), 'the layer');
  const all = { left: 0, top: 0, width: edit.width, height: edit.height };
  return { ...exported, edit, grid: gridOf(all, all, exported.source.bounds) };
}

/** Undefined if Figma may not show the file the way it is decoded here. */
async function decodeFill(
  { file, fill }: NodePicture,
  bounds: Size,
): Promise<{ edit: Picture; grid: PixelGrid } | undefined> {
  if (!fill || isTurned(file)) return undefined;
  const whole = await decodePicture(blobOf(file), 'the image').catch(() => undefined);
  if (whole?.width !== fill.size.width || whole.height !== fill.size.height) return undefined;
  const pixels = wholePixels(fill.shown, whole);
  return { edit: cut(whole, pixels), grid: gridOf(fill.shown, pixels, bounds) };
}

/**
 * The EXIF "orientation" entry up to its value, in both byte orders (TIFF 6.0: tag 274, type SHORT, count 1).
 */
const orientationEntries = [
  [0x12, 0x01, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00],
  [0x01, 0x12, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00],
] as const;

/**
 * Whether the file asks to be rotated. Whether Figma does so is undocumented, and browsers can no longer
 * decode without rotating. The entry is searched for, not parsed: it can be in a JPEG, a PNG or a WebP, and a
 * false positive only costs an export.
 */
function isTurned(file: Uint8Array): boolean {
  return orientationEntries.some((entry) => {
    for (let at = file.indexOf(entry[0]); at >= 0; at = file.indexOf(entry[0], at + 1)) {
      const value = file[at + entry.length] ?? 1;
      if (value > 1 && value <= 8 && entry.every((byte, i) => file[at + i] === byte)) return true;
    }
    return false;
  });
}

function blobOf(file: Uint8Array): Blob {
  return new Blob([new Uint8Array(file)]);
}

function cut(picture: Picture, { left, top, width, height }: Bounds): Picture {
  if (width === picture.width && height === picture.height) return picture;
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * picture.width + left) * 4;
    data.set(picture.data.subarray(from, from + width * 4), y * width * 4);
  }
  return { width, height, data };
}
