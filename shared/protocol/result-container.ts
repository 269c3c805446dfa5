import { type Bounds, boundsSchema } from '../bounds.ts';
import { CodedError } from '../errors.ts';
import { readJSON } from '../parse.ts';
import type { Container, Tensor } from '../safetensors.ts';
import { type EditResult, editResultSchema } from './result.ts';

export interface ResultLayer {
  /** U8 or U16 `[height, width, 4]`, straight alpha. */
  readonly pixels: Tensor & { readonly dtype: 'U8' | 'U16' };
  /** Position in the edit image. */
  readonly bounds: Bounds;
  /** The full result, if the container has it. */
  readonly result: EditResult | undefined;
}

/**
 * Reads the layer and its bounds from a result's container.
 * @throws CodedError `container-invalid` if there is no layer, or the metadata contradicts it
 */
export function readResult({ metadata, tensors }: Container): ResultLayer {
  const layer = tensors.get('layer');
  if (!layer || !isPixels(layer)) {
    const found = layer ? `${layer.dtype} [${layer.shape}]` : 'nothing';
    throw wrong(`The result should have an RGBA layer of 8 or 16 bits, but has ${found}.`);
  }
  const [height, width] = layer.shape;
  const text = metadata.bounds ?? '';
  const bounds = readJSON(boundsSchema, text);
  if (!bounds || bounds.width !== width || bounds.height !== height) {
    throw wrong(`The result's layer is ${width}x${height}, but its bounds are ${text || 'missing'}.`);
  }
  return { pixels: layer, bounds, result: readJSON(editResultSchema, metadata.result ?? '') };
}

function isPixels(tensor: Tensor): tensor is Tensor & { readonly dtype: 'U8' | 'U16' } {
  const { dtype, shape } = tensor;
  return (dtype === 'U8' || dtype === 'U16') && shape.length === 3 && shape[2] === 4;
}

function wrong(detail: string): CodedError {
  const remedy = 'Make sure that the companion and the panel or program have the same version.';
  return new CodedError('container-invalid', { detail, remedy });
}
