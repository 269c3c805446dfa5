import { boundsOf, type Size } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Raster } from '../../shared/image.ts';
import type { Given } from '../../shared/intent/intent.ts';
import { refuseLarge, refuseLargeResult } from '../../shared/limits.ts';
import { hasMargin } from '../../shared/margin.ts';
import { type Mask, maskBounds, turnMask } from '../../shared/mask.ts';
import { type RequestLayer, sortLayers } from '../../shared/protocol/layers.ts';
import { type EditRequest, parseEditRequest } from '../../shared/protocol/request.ts';
import { asU16, type Container, type Tensor } from '../../shared/safetensors.ts';
import { resolveTask } from '../../shared/tasks.ts';
import { decodePicture, pictureInSRGB } from '../pictures/decode.ts';
import { cleanMask, type DecodedMask, decodeMaskFile, emptyMask } from '../pictures/mask.ts';
import { extendedSize, nothingToPaint } from './extend.ts';
import type { LayerSizes } from './resolve.ts';

/** An edit request as received, with its pictures decoded and checked. */
export interface EditInput {
  readonly request: EditRequest;
  readonly edit?: Raster;
  /** The size of the edit image; absent if everything is to be regenerated. */
  readonly mask?: Mask;
  readonly references: readonly Raster[];
  /** The layers as they were sent, from which the task is chosen. */
  readonly given: Given;
  /**
   * The position of the edit image's first pixel in the picture as sent: negative if outpainting extended it.
   */
  readonly origin: { readonly left: number; readonly top: number };
  /** What the user should know about how the input was read. */
  readonly notes: readonly string[];
}

/**
 * Reads an edit request: the picture, its mask and references, decoded, upright, in sRGB.
 * @throws CodedError `request-invalid`, `image-invalid` (naming the picture), `too-large`, `mask-empty`,
 * `mask-size`, `mask-faint`, `task-needs`, `instruction-empty`
 */
export async function readEditInput(container: Container): Promise<EditInput> {
  const request = parseEditRequest(container.metadata.request ?? '');
  const layers = sortLayers(container.tensors);
  const sent = {
    edit: layers.edit !== undefined,
    mask: layers.mask !== undefined,
    references: layers.references.length,
  };
  // Fail before decoding any picture, unless a transparent margin can still make the request valid.
  if (!sent.edit || sent.mask) resolveTask(request, sent);
  const notes: string[] = [];
  const references: Raster[] = [];
  for (const [i, layer] of layers.references.entries()) {
    const reference = await readPicture(layer, `reference ${i + 1}`);
    references.push(reference.raster);
    notes.push(...reference.notes);
  }
  const nothing = { request, references, given: sent, origin: { left: 0, top: 0 }, notes };
  if (!layers.edit) return nothing;

  const picture = await readPicture(layers.edit, 'picture', request.layer);
  const edit = picture.raster;
  notes.push(...picture.notes);
  refuseLargeResult(request, edit);
  if (!layers.mask) {
    const given = { ...sent, margin: hasMargin(edit) };
    const { task } = resolveTask(request, given);
    if (task === 'outpaint') return { ...nothing, given, ...outpainted(edit, request) };
    return { ...nothing, given, edit };
  }
  const decoded = await readMask(layers.mask);
  const clean = cleanMask(decoded.mask);
  const upright = uprightMask({ ...decoded, mask: clean.mask }, picture);
  const { mask, note } = fitMask(upright.mask, edit);
  notes.push(...decoded.notes, ...clean.notes, ...[upright.note, note].filter((text) => text !== undefined));
  if (!maskBounds(mask)) throw emptyMask(mask);
  return { ...nothing, edit, mask };
}

/** The sizes that `resolveEdit` needs. */
export function sizesOf({ edit, mask, references, given }: EditInput): LayerSizes {
  return { given, picture: edit, painted: mask && maskBounds(mask), references };
}

type Layer = RequestLayer<Tensor>;

interface DecodedPicture {
  readonly raster: Raster;
  /** EXIF orientation by which a file was turned upright; 1 if it wasn't. */
  readonly orientation: number;
  readonly notes: readonly string[];
}

async function readPicture(
  { tensor, encoded }: Layer,
  what: string,
  layer?: string,
): Promise<DecodedPicture> {
  if (encoded) {
    const picture = await decodePicture(fileBytes(tensor, what), { what, layer });
    const raster = await pictureInSRGB(picture, what);
    return { raster, orientation: picture.orientation, notes: picture.notes };
  }
  if (layer !== undefined) {
    throw new CodedError('request-invalid', {
      detail: `The layer "${layer}" is asked for, but the ${what} came as pixels.`,
      remedy: 'Leave the layer out, or send a PSD.',
    });
  }
  const [height, width, channels] = tensor.shape;
  const isDepth = tensor.dtype === 'U8' || tensor.dtype === 'U16';
  if (!isDepth || tensor.shape.length !== 3 || !width || !height || (channels !== 3 && channels !== 4)) {
    throw new CodedError('image-invalid', {
      detail: `The ${what} is ${tensor.dtype} [${tensor.shape}].`,
      remedy: 'Send U8 or U16 of shape [height, width, 3 or 4], or an encoded file.',
    });
  }
  refuseLarge({ width, height }, what);
  const data = tensor.dtype === 'U16' ? asU16(tensor.data) : tensor.data;
  return { raster: { width, height, channels, data }, orientation: 1, notes: [] };
}

function fileBytes({ dtype, shape, data }: Tensor, what: string): Uint8Array {
  if (dtype === 'U8' && shape.length === 1) return data;
  throw new CodedError('image-invalid', {
    detail: `The ${what} is ${dtype} [${shape}], but named as an encoded file.`,
    remedy: 'Send the bytes of the file as U8 of shape [N].',
  });
}

async function readMask({ tensor, encoded }: Layer): Promise<DecodedMask> {
  if (encoded) return decodeMaskFile(fileBytes(tensor, 'mask'));
  const [height, width] = tensor.shape;
  if (tensor.dtype !== 'U8' || tensor.shape.length !== 2 || !width || !height) {
    throw new CodedError('image-invalid', {
      detail: `The mask is ${tensor.dtype} [${tensor.shape}].`,
      remedy: 'Send U8 of shape [height, width], 255 where the picture may change, or an encoded file.',
    });
  }
  refuseLarge({ width, height }, 'mask');
  return { mask: { width, height, data: tensor.data }, isTurned: false, notes: [] };
}

/**
 * Turns a mask upright if EXIF turned its photo: programs without EXIF support write masks in the stored
 * orientation.
 */
function uprightMask(
  { mask, isTurned }: DecodedMask,
  { raster, orientation }: DecodedPicture,
): { readonly mask: Mask; readonly note?: string } {
  if (orientation === 1 || isTurned) return { mask };
  const swaps = orientation > 4;
  const stored = swaps ? { width: raster.height, height: raster.width } : raster;
  if (swaps && hasProportions(mask, stored) && !hasProportions(mask, raster)) {
    return {
      mask: turnMask(mask, orientation),
      note: `The photo is turned by its EXIF orientation ${orientation}; the mask has none and was turned with it.`,
    };
  }
  return {
    mask,
    note: `The photo is turned by its EXIF orientation ${orientation}; the mask has none and is taken as it is seen.`,
  };
}

function hasProportions(mask: Size, { width, height }: Size): boolean {
  const expected = (mask.width * height) / width;
  const tolerance = Math.max(1, height / width);
  return Math.abs(expected - mask.height) <= Math.max(tolerance, (tolerance * mask.height) / height);
}

/** Fits the mask to the picture: one of another size is scaled if its proportions match to within a pixel. */
function fitMask(mask: Mask, picture: Size): { mask: Mask; note?: string } {
  const { width, height } = picture;
  if (mask.width === width && mask.height === height) return { mask };
  if (!hasProportions(mask, picture)) {
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
 * Outpainting without a mask: paints the transparent part of the picture, or what a larger `width` and
 * `height` add.
 * @throws CodedError `task-needs` if there is neither
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
