/**
 * Writes the linear layers of a weights file in 4 or 8 bits, everything else as it is, under the same names. Of a layer's weight
 * [N, K] there is `X.weight` U8 [N, K/B, B or B/2], `X.weight.scales` [N, K/B] and, at 4 bits, `X.weight.zero_points`: U8
 * [N, ceil(K/B/2)], or F16 [N, K/B] where they are no whole numbers. B is 64 where weights are rounded here; a GGUF file has
 * blocks of its own, of 16 or 32, which stay what they are unless they have more bits.
 */
import { CodedError } from '../../shared/errors.ts';
import { bytesOf, elementCount } from '../../shared/safetensors.ts';
import type { NetworkName } from '../checkpoints/bundle.ts';
import {
  type BlockType,
  blockLayoutOf,
  isBlockType,
  valuesOfBlocks,
} from '../checkpoints/gguf/ggml-blocks.ts';
import { openStored } from '../checkpoints/header.ts';
import { asFloats, isReadable } from '../checkpoints/numbers.ts';
import type { StoredTensor, StoredTensors } from '../checkpoints/tensor.ts';
import {
  type FileLayout,
  fileLayoutOf,
  type OutputTensor,
  sizeOf,
  type WriteOptions,
  type Written,
  writeTensors,
} from './file-writer.ts';
import { layerBits, layerBytes, layerTensors } from './ggml-layers.ts';
import { type Bits, blockSize, quantizeRows } from './rounding.ts';

/** `network` selects one network of an all-in-one checkpoint. */
type QuantizeOptions = WriteOptions & { readonly network?: NetworkName };

/**
 * Quantizes `source` to `target`, which appears complete or not at all. An interrupted run's `target.partial` is resumed, and gives
 * the same bytes. Does nothing if `target` exists. GGUF blocks that already have as few bits are converted as by `writeBlocks`.
 * @throws CodedError `cancelled`, `disk-full`, `model-missing`, `model-file-invalid`
 */
export async function quantizeFile(
  source: string,
  target: string,
  bits: Bits,
  options: QuantizeOptions = {},
): Promise<void> {
  if (await sizeOf(target)) return;
  const { file, stored } = await openStored(source, options.network);
  if (!isInBlocks(stored) && !becomesSmaller(stored, bits)) {
    throw new CodedError('model-file-invalid', {
      detail: `${file} has no linear layers in transformer blocks in float32, float16 or bfloat16.`,
      remedy: 'Quantize the original weights; 8-bit files run as they are.',
    });
  }
  const kept = becomesSmaller(stored, bits) ? bits : undefined;
  await writeTensors(target, outputs(stored, kept), stored.metadata, options);
}

/** Converts a GGUF file with quantized blocks to the form the graphs compute with, resumable like `quantizeFile`. */
export async function writeBlocks(source: string, target: string, options: WriteOptions = {}): Promise<void> {
  if (await sizeOf(target)) return;
  const { stored } = await openStored(source);
  await writeTensors(target, outputs(stored, undefined), stored.metadata, options);
}

/** Total bytes that `writeBlocks` writes. */
export async function bytesOfBlocks(source: string): Promise<number> {
  const { stored } = await openStored(source);
  return fileLayoutOf(outputs(stored, undefined), stored.metadata).bytes;
}

/** Whether tensors are stored in blocks that graphs cannot read, but that can be converted. */
export function isInBlocks({ tensors }: StoredTensors): boolean {
  return [...tensors.values()].some(({ dtype }) => isBlockType(dtype));
}

/** Whether any layer becomes smaller in these bits; in a GGUF file with blocks, only layers in blocks count. */
export function becomesSmaller(stored: StoredTensors, bits: Bits): boolean {
  const inBlocks = isInBlocks(stored);
  return [...stored.tensors.values()].some(
    (tensor) => bitsFor(tensor, bits) === bits && inBlocks === isBlockType(tensor.dtype),
  );
}

/**
 * What `quantizeFile` would write: the header and the total size.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function quantizedLayout(source: string, bits: Bits): Promise<FileLayout> {
  const { stored } = await openStored(source);
  return fileLayoutOf(outputs(stored, bits), stored.metadata);
}

/** Layers outside the transformer blocks are few, and everything passes through them: they keep 8 bits. */
function bitsFor({ name, dtype, shape }: StoredTensor, bits: Bits): Bits | undefined {
  const isLinear = name.endsWith('.weight') && shape.length === 2 && (shape[1] ?? 0) % blockSize === 0;
  const isTable = /(^|\.)(shared|embed_tokens|token_embedding|relative_attention_bias)\.weight$/.test(name);
  if (!isLinear || isTable) return undefined;
  const wanted = /(^|_|\.)(blocks?)\.\d+\./.test(name) ? bits : 8;
  if (isBlockType(dtype)) return layerBits(dtype) > wanted ? wanted : undefined;
  return isReadable(dtype) ? wanted : undefined;
}

/** @param bits undefined to convert GGUF blocks without quantizing further */
function outputs({ tensors }: StoredTensors, bits: Bits | undefined): OutputTensor[] {
  return [...tensors.values()].map((source): OutputTensor => {
    const rounded = bits && bitsFor(source, bits);
    if (rounded) return roundedLayer(source, rounded);
    const { name, dtype, shape } = source;
    return isBlockType(dtype) ? blocksOf(source, dtype) : { source, results: [{ name, dtype, shape }] };
  });
}

function roundedLayer(source: StoredTensor, bits: Bits): OutputTensor {
  const { name, dtype, shape } = source;
  const [rows = 0, columns = 0] = shape;
  const blocks = columns / blockSize;
  const results: Written[] = [
    { name, dtype: 'U8', shape: [rows, blocks, (blockSize * bits) / 8] },
    { name: `${name}.scales`, dtype: 'F32', shape: [rows, blocks] },
  ];
  if (bits === 4)
    results.push({ name: `${name}.zero_points`, dtype: 'U8', shape: [rows, Math.ceil(blocks / 2)] });
  const convert = (bytes: Uint8Array) => {
    const weights = isBlockType(dtype) ? valuesOfBlocks(dtype, bytes) : asFloats(bytes, dtype);
    const { codes, scales, zeroPoints } = quantizeRows(weights, columns, bits);
    return [codes, bytesOf(scales), ...(zeroPoints ? [zeroPoints] : [])];
  };
  return { source, results, conversion: { rows, columns, convert } };
}

function blocksOf(source: StoredTensor, type: BlockType): OutputTensor {
  const { name, shape } = source;
  if (shape.length === 2 && name.endsWith('.weight')) {
    const [rows = 0, columns = 0] = shape;
    const results = layerTensors(type, rows, columns).map(({ suffix, ...rest }) => ({
      name: name + suffix,
      ...rest,
    }));
    return {
      source,
      results,
      conversion: { rows, columns, convert: (bytes) => layerBytes(type, bytes, columns) },
    };
  }
  // Biases and norms are small: store them as float32.
  const { weights: columns } = blockLayoutOf(type);
  const convert = (bytes: Uint8Array) => [bytesOf(valuesOfBlocks(type, bytes))];
  const rows = elementCount(shape) / columns;
  return { source, results: [{ name, dtype: 'F32', shape }], conversion: { rows, columns, convert } };
}
