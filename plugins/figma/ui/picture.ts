import type { Bounds } from '../../../shared/events.ts';
import { context, decodePicture, newCanvas } from '../../panel/canvas/decode.ts';
import type { Picture } from '../../panel/host.ts';
import { gridOf, type PixelGrid, type Size, wholePixels } from '../grid.ts';
import type { CaptureChoice, CapturedNode, NodePicture } from '../protocol.ts';
import type { Sandbox } from './sandbox.ts';

export interface DecodedCapture extends Omit<CapturedNode, 'picture'> {
  readonly edit: Picture;
  readonly grid: PixelGrid;
}

/** Captures a node and decodes its picture: the fill's own pixels where they are what Figma shows, else an export. */
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

/** Undefined where it cannot be relied on that Figma shows the file the way that it is decoded here. */
async function decodeFill(
  { file, fill }: NodePicture,
  bounds: Size,
): Promise<{ edit: Picture; grid: PixelGrid } | undefined> {
  const blob = blobOf(file);
  if (!fill || (await isTurned(blob))) return undefined;
  const whole = await decodePicture(blob, 'the image').catch(() => undefined);
  if (whole?.width !== fill.size.width || whole.height !== fill.size.height) return undefined;
  const pixels = wholePixels(fill.shown, whole);
  return { edit: cut(whole, pixels), grid: gridOf(fill.shown, pixels, bounds) };
}

/** Whether the file names an orientation (EXIF): nothing says whether Figma follows it. */
async function isTurned(file: Blob): Promise<boolean> {
  const side = 16;
  const small = async (imageOrientation: 'from-image' | 'none'): Promise<Uint8ClampedArray> => {
    const options = { imageOrientation, resizeWidth: side, resizeHeight: side } as ImageBitmapOptions;
    const bitmap = await createImageBitmap(file, options);
    const drawing = context(newCanvas(side, side));
    drawing.drawImage(bitmap, 0, 0);
    bitmap.close();
    return drawing.getImageData(0, 0, side, side).data;
  };
  try {
    const [upright, stored] = await Promise.all([small('from-image'), small('none')]);
    return upright.some((value, i) => value !== stored[i]);
  } catch {
    return true;
  }
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
