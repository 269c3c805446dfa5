import type { Bounds } from '../../shared/bounds.ts';
import type { Raster } from '../../shared/image.ts';
import { type RequestLayer, sortLayers } from '../../shared/protocol/layers.ts';
import { parseEditRequest } from '../../shared/protocol/request.ts';
import { readResult as readLayer } from '../../shared/protocol/result-container.ts';
import { asU16, decodeContainer, type Tensor } from '../../shared/safetensors.ts';
import { resolveTask } from '../../shared/tasks.ts';
import { readBytes } from '../disk/durable.ts';
import { requestFile, resultFile } from '../engine/edit-files.ts';
import { decodePicture } from '../pictures/decode.ts';
import {
  type ExportedFile,
  exportEdit,
  type OutputEncoding,
  ownEncoding,
  type ResultKind,
} from '../pictures/export.ts';
import type { Picture } from '../pictures/picture.ts';
import { readResult } from './results.ts';

export interface ExportedVariant extends ExportedFile {
  readonly encoding: OutputEncoding;
  /** The layer's bounds in the document. */
  readonly bounds: Bounds;
  readonly seed: number;
}

export interface ExportChoice {
  readonly as: ResultKind;
  /** Defaults to the document's own format. */
  readonly encoding?: OutputEncoding | undefined;
}

/**
 * Exports a variant of a finished edit as a file, from the request and result in the edit's folder.
 * @throws CodedError `result-damaged`, `container-invalid`, `too-large`, `request-invalid`
 */
export async function exportVariant(
  folder: string,
  variant: number,
  { as, encoding }: ExportChoice,
): Promise<ExportedVariant> {
  const { metadata, tensors } = decodeContainer(await readBytes(requestFile(folder)), 'The request');
  const request = parseEditRequest(metadata.request ?? '');
  const layers = sortLayers(tensors);
  const document = layers.edit && (await documentOf(layers.edit, request.layer));
  const { pixels, bounds, result } = readLayer(await readResult(resultFile(folder, variant)));
  const data = pixels.dtype === 'U16' ? asU16(pixels.data) : pixels.data;
  const layer: Raster = { width: bounds.width, height: bounds.height, channels: 4, data };
  const { task } = resolveTask(request, {
    edit: layers.edit !== undefined,
    mask: layers.mask !== undefined,
    references: layers.references.length,
    margin: true,
  });
  // 0.1.0 stored less about a result.
  const made = result ?? {
    task,
    model: request.model ?? 'unknown',
    adapters: request.adapters ?? [],
    seed: request.seed ?? 0,
  };
  const isMasked = layers.mask !== undefined || made.task === 'outpaint';
  const chosen = encoding ?? ownEncoding(document);
  const finished = { document, isMasked, layer, bounds, instruction: request.instruction, result: made };
  return { ...(await exportEdit(finished, as, chosen)), encoding: chosen, bounds, seed: made.seed };
}

async function documentOf(
  { tensor, encoded }: RequestLayer<Tensor>,
  layer: string | undefined,
): Promise<Picture> {
  if (encoded) return decodePicture(tensor.data, { what: 'picture', layer });
  const [height = 0, width = 0, channels] = tensor.shape;
  const data = tensor.dtype === 'U16' ? asU16(tensor.data) : tensor.data;
  const samples = { width, height, channels: channels === 4 ? 4 : 3, data } as const;
  // Raw pixels have no format of their own.
  return { encoding: 'png', samples, orientation: 1, notes: [] };
}
