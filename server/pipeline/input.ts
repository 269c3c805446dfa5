import sharp, { type Sharp } from 'sharp';
import { boundsOf, type Size } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Raster } from '../../shared/image.ts';
import type { Given } from '../../shared/intent/intent.ts';
import { refuseLarge, refuseLargeResult } from '../../shared/limits.ts';
import { hasMargin } from '../../shared/margin.ts';
import { type Mask, maskBounds } from '../../shared/mask.ts';
import { type RequestLayer, sortLayers } from '../../shared/protocol/layers.ts';
import { type EditRequest, parseEditRequest } from '../../shared/protocol/request.ts';
import { asU16, type Container, type Tensor } from '../../shared/safetensors.ts';
import { resolveTask } from '../../shared/tasks.ts';
import { extendedSize, nothingToPaint } from './extend.ts';
import type { LayerSizes } from './resolve.ts';

/** An edit request as it came, with its pictures decoded and checked. */
export interface EditInput {
  readonly request: EditRequest;
  readonly edit?: Raster;
  /** Of the edit image's size; absent where all is to be regenerated. */
  readonly mask?: Mask;
  readonly references: readonly Raster[];
  /** What the task is chosen by: the layers as they were sent. */
  readonly given: Given;
  /** Where the edit image's first pixel lies in the picture that was sent: negative where outpainting added to it. */
  readonly origin: { readonly left: number; readonly top: number };
  /** What the person should know of how the input was taken. */
  readonly notes: readonly string[];
}

/**
 * Reads an edit request: the picture, its mask and references, decoded, upright, in sRGB.
 * @throws CodedError `request-invalid`, `image-invalid` (naming which), `too-large`, `mask-empty`, `mask-size`,
 * `task-needs`, `instruction-empty`
 */
export async function readEditInput(container: Container): Promise<EditInput> {
  const request = parseEditRequest(container.metadata.request ?? '');
  const layers = sortLayers(container.tensors);
  const sent = {
    edit: layers.edit !== undefined,
    mask: layers.mask !== undefined,
    references: layers.references.length,
  };
  // Before any picture is decoded: a margin can still save the request.
  if (!sent.edit || sent.mask) resolveTask(request, sent);
  const references: Raster[] = [];
  for (const [i, layer] of layers.references.entries()) {
    references.push(await decodePicture(layer, `reference ${i + 1}`));
  }
  const nothing = { request, references, given: sent, origin: { left: 0, top: 0 }, notes: [] };
  if (!layers.edit) return nothing;

  const edit = await decodePicture(layers.edit, 'picture');
  refuseLargeResult(request, edit);
  if (!layers.mask) {
    const given = { ...sent, margin: hasMargin(edit) };
    const { task } = resolveTask(request, given);
    if (task === 'outpaint') return { ...nothing, given, ...outpainted(edit, request) };
    return { ...nothing, given, edit };
  }
  const { mask, note } = fitMask(await decodeMask(layers.mask), edit);
  if (!maskBounds(mask)) {
    throw new CodedError('mask-empty', {
      detail: `The mask of ${mask.width} x ${mask.height} pixels is black everywhere, so nothing may change.`,
      remedy: 'Paint white where the picture may change, or leave the mask out to change all of it.',
    });
  }
  return { ...nothing, edit, mask, notes: note ? [note] : [] };
}

/** All that an edit is settled by. */
export function sizesOf({ edit, mask, references, given }: EditInput): LayerSizes {
  return { given, picture: edit, painted: mask && maskBounds(mask), references };
}

type Layer = RequestLayer<Tensor>;

async function decodePicture({ tensor, encoded }: Layer, what: string): Promise<Raster> {
  if (encoded) return decodeFile(tensor, what);
  const [height, width, channels] = tensor.shape;
  const isDepth = tensor.dtype === 'U8' || tensor.dtype === 'U16';
  if (!isDepth || tensor.shape.length !== 3 || !width || !height || (channels !== 3 && channels !== 4)) {
    throw new CodedError('image-invalid', {
      detail: `The ${what} is ${tensor.dtype} [${tensor.shape}].`,
      remedy: 'Send U8 or U16 of shape [height, width, 3 or 4], or an encoded file.',
    });
  }
  refuseLarge({ width, height }, what);
  return { width, height, channels, data: tensor.dtype === 'U16' ? asU16(tensor.data) : tensor.data };
}

/** Opens an encoded file and reads its header; what the decoder throws becomes `image-invalid`. */
async function openFile({ dtype, shape, data }: Tensor, what: string) {
  if (dtype !== 'U8' || shape.length !== 1) {
    throw new CodedError('image-invalid', {
      detail: `The ${what} is ${dtype} [${shape}], but named as an encoded file.`,
      remedy: 'Send the bytes of the file as U8 of shape [N].',
    });
  }
  const image = sharp(data, { limitInputPixels: false, failOn: 'truncated', sequentialRead: true });
  const header = await decoding(what, () => image.metadata());
  refuseLarge(header, what);
  return { image: image.autoOrient(), header };
}

async function decoding<T>(what: string, decode: () => Promise<T>): Promise<T> {
  try {
    return await decode();
  } catch (cause) {
    throw new CodedError('image-invalid', {
      detail: `The ${what} cannot be decoded: ${(cause as Error).message.trim().replaceAll('\n', '; ')}.`,
      remedy: 'Open the file in another program and save it again as PNG, JPEG or WebP.',
      cause,
    });
  }
}

/** Upright, in sRGB by the embedded profile, grey as RGB, 8 or 16 bits as the file has them. */
async function decodeFile(tensor: Tensor, what: string): Promise<Raster> {
  const { image, header } = await openFile(tensor, what);
  const deep = header.depth === 'ushort';
  // With 16 bits, sharp takes a profile for a way to Display P3, unless it is told where to go.
  const inSRGB = deep && header.hasProfile ? image.withIccProfile('srgb') : image;
  const pipeline = deep
    ? inSRGB.toColourspace('rgb16').raw({ depth: 'ushort' })
    : image.toColourspace('srgb').raw({ depth: 'uchar' });
  const { data, info } = await decoding(what, () => pipeline.toBuffer({ resolveWithObject: true }));
  const channels = info.channels === 4 ? 4 : 3;
  return { width: info.width, height: info.height, channels, data: deep ? asU16(data) : data };
}

async function decodeMask({ tensor, encoded }: Layer): Promise<Mask> {
  if (encoded) return decodeMaskFile(tensor);
  const [height, width] = tensor.shape;
  if (tensor.dtype !== 'U8' || tensor.shape.length !== 2 || !width || !height) {
    throw new CodedError('image-invalid', {
      detail: `The mask is ${tensor.dtype} [${tensor.shape}].`,
      remedy: 'Send U8 of shape [height, width], 255 where the picture may change, or an encoded file.',
    });
  }
  refuseLarge({ width, height }, 'mask');
  return { width, height, data: tensor.data };
}

/** A mask file's lightness; where it is one colour on transparent ground, its alpha says what was painted. */
async function decodeMaskFile(tensor: Tensor): Promise<Mask> {
  const { image, header } = await openFile(tensor, 'mask');
  const read = (plane: Sharp) =>
    decoding('mask', () => plane.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }));
  const { data: lightness, info } = await read(image.clone().toColourspace('b-w'));
  const { width, height } = info;
  if (header.format !== 'png') cleanLossy(lightness);
  if (!header.hasAlpha) return { width, height, data: lightness };
  const { data: alpha } = await read(image.clone().extractChannel('alpha').toColourspace('b-w'));
  const isClear = alpha.some((value) => value < 255);
  const shade = lightness[mostOpaque(alpha)]!;
  // Where a program multiplies colours by alpha meanwhile, what is faint comes back rounded: by one or two steps over alpha.
  const isOneColour = lightness.every((value, i) => Math.abs(value - shade) * alpha[i]! <= 2 * 255);
  const data =
    isClear && isOneColour ? alpha : lightness.map((value, i) => Math.round((value * alpha[i]!) / 255));
  return { width, height, data };
}

function mostOpaque(alpha: Uint8Array): number {
  return alpha.reduce((best, value, i) => (value > alpha[best]! ? i : best), 0);
}

/** JPEG and WebP leave noise of a few steps in black and white: without this the mask would be everywhere. */
function cleanLossy(data: Uint8Array): void {
  for (let i = 0; i < data.length; i++) {
    if (data[i]! < 12) data[i] = 0;
    else if (data[i]! > 243) data[i] = 255;
  }
}

/** The mask at the picture's size: a mask of another size is scaled if its proportions are the same to a pixel. */
function fitMask(mask: Mask, picture: Size): { mask: Mask; note?: string } {
  const { width, height } = picture;
  if (mask.width === width && mask.height === height) return { mask };
  const expected = (mask.width * height) / width;
  const tolerance = Math.max(1, height / width);
  if (Math.abs(expected - mask.height) > Math.max(tolerance, (tolerance * mask.height) / height)) {
    throw new CodedError('mask-size', {
      detail: `The mask has ${mask.width} x ${mask.height} pixels, the picture ${width} x ${height}.`,
      remedy: 'Send a mask of the picture’s size, or of the same proportions.',
    });
  }
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const sy = Math.min(mask.height - 1, Math.max(0, ((y + 0.5) * mask.height) / height - 0.5));
    const top = Math.floor(sy) * mask.width;
    const below = Math.min(mask.height - 1, Math.floor(sy) + 1) * mask.width;
    const fy = sy % 1;
    for (let x = 0; x < width; x++) {
      const sx = Math.min(mask.width - 1, Math.max(0, ((x + 0.5) * mask.width) / width - 0.5));
      const left = Math.floor(sx);
      const right = Math.min(mask.width - 1, left + 1);
      const fx = sx % 1;
      data[y * width + x] = Math.round(
        (mask.data[top + left]! * (1 - fx) + mask.data[top + right]! * fx) * (1 - fy) +
          (mask.data[below + left]! * (1 - fx) + mask.data[below + right]! * fx) * fy,
      );
    }
  }
  return {
    mask: { width, height, data },
    note: `The mask of ${mask.width} x ${mask.height} pixels was scaled to the picture’s ${width} x ${height}.`,
  };
}

/**
 * Outpainting without a mask: the transparent part of the picture, or what a larger `width` and `height` add around it.
 * @throws CodedError `task-needs` where neither is there
 */
function outpainted(edit: Raster, request: EditRequest): Pick<EditInput, 'edit' | 'mask' | 'origin'> {
  const { width, height, left, top } = extendedSize(edit, request);
  const deep = edit.data instanceof Uint16Array;
  const data = deep ? new Uint16Array(width * height * 4) : new Uint8Array(width * height * 4);
  const mask = { width, height, data: new Uint8Array(width * height).fill(255) };
  const white = deep ? 65535 : 255;
  for (let y = 0; y < edit.height; y++) {
    for (let x = 0; x < edit.width; x++) {
      const from = (y * edit.width + x) * edit.channels;
      const to = (y + top) * width + x + left;
      for (let c = 0; c < 3; c++) data[to * 4 + c] = edit.data[from + c]!;
      const alpha = edit.channels === 4 ? edit.data[from + 3]! : white;
      data[to * 4 + 3] = alpha;
      mask.data[to] = Math.round((1 - alpha / white) * 255);
    }
  }
  if (!maskBounds(mask)) throw nothingToPaint(edit);
  return { edit: { ...boundsOf(mask), channels: 4, data }, mask, origin: { left: -left, top: -top } };
}
