/**
 * Exports a finished edit: the layer or the whole picture, in the document's own space, depth and resolution.
 */
import sharp from 'sharp';
import type { Bounds, Size } from '../../shared/bounds.ts';
import { boundsOf, intersect } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Raster } from '../../shared/image.ts';
import type { EditResult } from '../../shared/protocol/result.ts';
import { layerName } from '../../shared/psd/layer-name.ts';
import { maskedLayer } from '../../shared/psd/masked-layer.ts';
import { needsPSB, type PSDNode, wholeLayer, writePSD } from '../../shared/psd/write.ts';
import { emptySamples, hasAlpha, isGrey, type Samples } from '../../shared/samples.ts';
import { fromSRGB } from './colour.ts';
import { formulaOf, pictureInSRGB } from './decode.ts';
import { encodeFlat, fitted, flatEncodings, holds, isOpaque, refuseLongSides } from './encode.ts';
import { rawSamples } from './libvips.ts';
import type { Picture } from './picture.ts';
import { provenanceXMP } from './provenance.ts';
import { wrapTIFF } from './tiff.ts';

export const results = ['picture', 'layer'] as const;
export type ResultKind = (typeof results)[number];
export const outputEncodings = [...flatEncodings, 'psd', 'psb'] as const;
export type OutputEncoding = (typeof outputEncodings)[number];

/** IANA media types; PSD's also covers PSB. */
export const mediaTypes: Readonly<Record<OutputEncoding, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  webp: 'image/webp',
  avif: 'image/avif',
  tif: 'image/tiff',
  psd: 'image/vnd.adobe.photoshop',
  psb: 'image/vnd.adobe.photoshop',
};

export interface FinishedEdit {
  /** The edited picture, if there was one. */
  readonly document?: Picture | undefined;
  /** Whether a mask kept part of it. */
  readonly isMasked: boolean;
  /** sRGB with straight alpha, as the pipeline returns it. */
  readonly layer: Raster;
  /** Position of the layer in the document. */
  readonly bounds: Bounds;
  readonly instruction: string;
  readonly result: Pick<EditResult, 'task' | 'model' | 'adapters' | 'seed'>;
}

export interface ExportedFile {
  readonly bytes: Uint8Array;
  readonly notes: readonly string[];
}

/** The document's own format if we can write it; otherwise, or without a document, PNG. */
export function ownEncoding(document: Picture | undefined): OutputEncoding {
  return !document || document.encoding === 'gif' ? 'png' : document.encoding;
}

/** @throws CodedError `too-large`, `request-invalid` */
export async function exportEdit(
  edit: FinishedEdit,
  as: ResultKind,
  encoding: OutputEncoding,
): Promise<ExportedFile> {
  const notes: string[] = [...(edit.document?.notes ?? [])];
  const frame = await frameOf(edit, encoding, notes);
  const xmp = provenanceXMP(edit.result, as === 'picture' && edit.document ? 'composite' : 'made');
  const file = { icc: frame.icc, pixelsPerInch: edit.document?.pixelsPerInch, xmp };
  if (encoding === 'psd' || encoding === 'psb') {
    const name = layerName(edit.instruction);
    const layer = maskedLayer(name, frame.layer, frame.place);
    const nodes: PSDNode[] =
      as === 'picture' && frame.below ? [wholeLayer('Picture', frame.below), layer] : [layer];
    const below = as === 'picture' ? frame.below : undefined;
    const flat = flattened(
      below ?? emptySamples(frame.canvas, frame.layer.channels, isDeep(frame.layer)),
      frame,
    );
    const document = { flat: opaque(flat), layers: nodes, ...file };
    if (encoding === 'psd' && needsPSB(flat)) throw tooLargeForPSD(flat);
    return { bytes: writePSD(document, encoding === 'psb'), notes };
  }
  const whole = as === 'layer' || !frame.below ? frame.layer : opaque(flattened(frame.below, frame));
  const fit = fitted(whole, encoding);
  return { bytes: await encodeFlat(fit.samples, encoding, file), notes: [...notes, ...fit.notes] };
}

function tooLargeForPSD({ width, height }: Size): CodedError {
  return new CodedError('too-large', {
    detail: `${width} x ${height} pixels do not fit into PSD, which ends at 30,000 a side and 2 GB.`,
    remedy: 'Choose PSB.',
  });
}

/**
 * Refuses what a format cannot hold, as far as the size shows. Called before the edit, so that it isn't
 * wasted.
 * @throws CodedError `too-large`
 */
export function refuseUnfit(size: Size, encoding: OutputEncoding): void {
  if (encoding === 'psd' && Math.max(size.width, size.height) > 30_000) throw tooLargeForPSD(size);
  if (encoding !== 'psd' && encoding !== 'psb') refuseLongSides(size, encoding);
}

const isDeep = ({ data }: Pick<Samples, 'data'>) => data instanceof Uint16Array;

/** Document and layer on one canvas, in the same space and depth. */
interface Frame {
  readonly canvas: { readonly width: number; readonly height: number };
  /** The size of the canvas. */
  readonly below?: Samples;
  readonly layer: Samples;
  /** Position of the layer on the canvas. */
  readonly place: Bounds;
  readonly icc?: Uint8Array;
}

async function frameOf(edit: FinishedEdit, encoding: OutputEncoding, notes: string[]): Promise<Frame> {
  const { document, layer, bounds } = edit;
  if (!document) return { canvas: bounds, layer, place: boundsOf(bounds) };
  const own = await ownSpace(edit, document, encoding, notes);
  const isEnlarged =
    edit.result.task === 'super-resolution' && !edit.isMasked && bounds.left === 0 && bounds.top === 0;
  const scaled = isEnlarged ? await resized(own.samples, bounds) : own.samples;
  const left = Math.min(0, bounds.left);
  const top = Math.min(0, bounds.top);
  const canvas = {
    width: Math.max(scaled.width, bounds.left + bounds.width) - left,
    height: Math.max(scaled.height, bounds.top + bounds.height) - top,
  };
  const place = { ...bounds, left: bounds.left - left, top: bounds.top - top };
  const below = onCanvas(scaled, canvas, { left: -left, top: -top });
  return { canvas, below, layer: own.layer, place, ...(own.icc && { icc: own.icc }) };
}

interface OwnSpace {
  readonly samples: Samples;
  readonly layer: Samples;
  readonly icc?: Uint8Array | undefined;
}

/** Document and layer in the document's space, or in sRGB if the document's can't hold the result. */
async function ownSpace(
  { isMasked, layer, result }: FinishedEdit,
  document: Picture,
  encoding: OutputEncoding,
  notes: string[],
): Promise<OwnSpace> {
  const { samples, icc } = document;
  const formula = formulaOf(document);
  const deepLayer = deepened(layer, isDeep(samples));
  if (isGrey(samples)) {
    const holdsGrey = encoding === 'psd' || encoding === 'psb' || holds[encoding].grey;
    if (isMasked && result.task !== 'recolor' && holdsGrey && (!icc || formula)) {
      notes.push('The document is grey, and so is the result.');
      return { samples, layer: fromSRGB(deepLayer, formula, true), icc };
    }
    notes.push('The document is grey; the result is in colour, in sRGB.');
    return { samples: await pictureInSRGB(document, 'picture'), layer: deepLayer };
  }
  if (icc && !formula) {
    notes.push(
      'The document’s profile describes colours by tables, which can only be read; the result is in sRGB.',
    );
    return { samples: await pictureInSRGB(document, 'picture'), layer: deepLayer };
  }
  return { samples, layer: fromSRGB(deepLayer, formula, false), icc };
}

/** Converts a layer to the document's depth: it may differ if the edit was sent as raw pixels. */
function deepened(layer: Raster, deep: boolean): Raster {
  if (isDeep(layer) === deep) return layer;
  if (deep) return { ...layer, data: Uint16Array.from(layer.data, (value) => value * 257) };
  return { ...layer, data: Uint8Array.from(layer.data, (value) => Math.round(value / 257)) };
}

async function resized(samples: Samples, { width, height }: Bounds): Promise<Samples> {
  if (samples.width === width && samples.height === height) return samples;
  const deep = isDeep(samples);
  const image = sharp(wrapTIFF({ ...samples, space: isGrey(samples) ? 'grey' : 'rgb' }), {
    limitInputPixels: false,
  });
  const space = isGrey(samples) ? (deep ? 'grey16' : 'b-w') : deep ? 'rgb16' : 'srgb';
  return rawSamples(image.resize(width, height, { fit: 'fill' }).toColourspace(space), deep);
}

/** Places the document on a canvas that may be larger; the added area is transparent. */
function onCanvas(samples: Samples, canvas: Frame['canvas'], at: { left: number; top: number }): Samples {
  if (samples.width === canvas.width && samples.height === canvas.height) return samples;
  const colours = isGrey(samples) ? 1 : 3;
  const result = emptySamples(canvas, (colours + 1) as Samples['channels'], isDeep(samples));
  const white = isDeep(samples) ? 65535 : 255;
  for (let y = 0; y < samples.height; y++) {
    for (let x = 0; x < samples.width; x++) {
      const from = (y * samples.width + x) * samples.channels;
      const to = ((y + at.top) * canvas.width + x + at.left) * result.channels;
      for (let c = 0; c < colours; c++) result.data[to + c] = samples.data[from + c]!;
      result.data[to + colours] = hasAlpha(samples) ? samples.data[from + colours]! : white;
    }
  }
  return result;
}

/**
 * Composites the layer over the samples below: where its alpha is 0 they stay, where it is full they are the
 * layer's.
 */
function flattened(below: Samples, { layer, place }: Pick<Frame, 'layer' | 'place'>): Samples {
  const data = below.data instanceof Uint16Array ? new Uint16Array(below.data) : new Uint8Array(below.data);
  const white = isDeep(below) ? 65535 : 255;
  const colours = isGrey(below) ? 1 : 3;
  const shared = intersect(boundsOf(below), place);
  for (let y = shared.top; y < shared.top + shared.height; y++) {
    for (let x = shared.left; x < shared.left + shared.width; x++) {
      const from = ((y - place.top) * layer.width + x - place.left) * layer.channels;
      const to = (y * below.width + x) * below.channels;
      const over = hasAlpha(layer) ? layer.data[from + colours]! / white : 1;
      if (over === 0) continue;
      const under = (hasAlpha(below) ? data[to + colours]! / white : 1) * (1 - over);
      const alpha = over + under;
      for (let c = 0; c < colours; c++) {
        data[to + c] = Math.round((layer.data[from + c]! * over + data[to + c]! * under) / alpha);
      }
      if (hasAlpha(below)) data[to + colours] = Math.round(alpha * white);
    }
  }
  return { ...below, data };
}

/**
 * Drops an alpha channel that is full everywhere, as on an extended canvas once the layer covers the added
 * area.
 */
function opaque(samples: Samples): Samples {
  if (!hasAlpha(samples) || !isOpaque(samples)) return samples;
  const colours = samples.channels - 1;
  const result = emptySamples(samples, colours as Samples['channels'], isDeep(samples));
  for (let i = 0; i < samples.width * samples.height; i++) {
    for (let c = 0; c < colours; c++) result.data[i * colours + c] = samples.data[i * samples.channels + c]!;
  }
  return result;
}
