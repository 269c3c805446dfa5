/**
 * Writes the linear layers of a weights file in 4 or 8 bits, everything else as it is, under the same names. Of a layer's weight
 * [N, K] there is `X.weight` U8 [N, K/B, B or B/2], `X.weight.scales` [N, K/B] and, at 4 bits, `X.weight.zero_points`: U8
 * [N, ceil(K/B/2)], or F16 [N, K/B] where they are no whole numbers. B is 64 where weights are rounded here; a GGUF file has
 * blocks of its own, of 16 or 32, which stay what they are.
 */
import { CodedError } from '../../shared/errors.ts';
import { bytesOf, type DType } from '../../shared/safetensors.ts';
import { elementCount } from '../graph/value.ts';
import { type BlockType, isBlockType, layoutOf, valuesOfBlocks } from './ggmlBlocks.ts';
import { layerBytes, layerTensors } from './ggmlLayers.ts';
import { openStored } from './header.ts';
import { asFloats, isReadable } from './numbers.ts';
import {
  type RewriteOptions,
  type Rewriting,
  rewrite,
  rewrittenBytes,
  sizeOf,
  type Written,
} from './rewrite.ts';
import { type Bits, blockSize, roundRows } from './rounding.ts';
import type { StoredTensor, StoredTensors } from './tensor.ts';

/**
 * Writes `target`, which is there as a whole or not at all. What an ended run left in `target.partial` is gone on with, and ends in
 * the same bytes. Nothing is done where `target` is there. A file that is in blocks already keeps its bits, as `writeBlocks` has it.
 * @throws CodedError `cancelled`, `disk-full`, `model-missing`, `model-file-invalid`
 */
export async function quantizeFile(
  source: string,
  target: string,
  bits: Bits,
  options: RewriteOptions = {},
): Promise<void> {
  if (await sizeOf(target)) return;
  const { file, stored } = await openStored(source);
  const rewritings = isInBlocks(stored) ? keepBlocks(stored) : roundLayers(file, stored, bits);
  await rewrite(target, rewritings, stored.metadata, options);
}

/** Writes a GGUF file whose layers are in blocks in the form that the graphs compute with, as `quantizeFile` writes. */
export async function writeBlocks(
  source: string,
  target: string,
  options: RewriteOptions = {},
): Promise<void> {
  if (await sizeOf(target)) return;
  const { stored } = await openStored(source);
  await rewrite(target, keepBlocks(stored), stored.metadata, options);
}

/** Bytes that `writeBlocks` writes in all. */
export async function bytesOfBlocks(source: string): Promise<number> {
  const { stored } = await openStored(source);
  return rewrittenBytes(keepBlocks(stored), stored.metadata);
}

/** Whether tensors are stored as no graph takes them, but can be written so. */
export function isInBlocks({ tensors }: StoredTensors): boolean {
  return [...tensors.values()].some(({ dtype }) => isBlockType(dtype));
}

/** Layers outside the blocks are few, and all else passes through them: they keep 8 bits. */
export function bitsFor({ name, dtype, shape }: StoredTensor, bits: Bits): Bits | undefined {
  const isLinear = name.endsWith('.weight') && shape.length === 2 && (shape[1] ?? 0) % blockSize === 0;
  const isTable = /(^|\.)(shared|embed_tokens|token_embedding|relative_attention_bias)\.weight$/.test(name);
  if (!isLinear || isTable || !isReadable(dtype)) return undefined;
  return /(^|_|\.)(blocks?)\.\d+\./.test(name) ? bits : 8;
}

function roundLayers(file: string, { tensors }: StoredTensors, bits: Bits): Rewriting[] {
  const sources = [...tensors.values()];
  if (sources.some((source) => bitsFor(source, bits) === bits)) {
    return sources.map((source) => roundedLayer(source, bitsFor(source, bits)));
  }
  throw new CodedError('model-file-invalid', {
    detail: `${file} has no linear layers in blocks as float32, float16 or bfloat16.`,
    remedy: 'Quantize the original weights; 8-bit files run as they are.',
  });
}

function roundedLayer(source: StoredTensor, bits: Bits | undefined): Rewriting {
  const { name, dtype, shape } = source;
  if (!bits || !isReadable(dtype)) return copied(source);
  const [rows = 0, columns = 0] = shape;
  const blocks = columns / blockSize;
  const results: Written[] = [
    { name, dtype: 'U8', shape: [rows, blocks, (blockSize * bits) / 8] },
    { name: `${name}.scales`, dtype: 'F32', shape: [rows, blocks] },
  ];
  if (bits === 4)
    results.push({ name: `${name}.zero_points`, dtype: 'U8', shape: [rows, Math.ceil(blocks / 2)] });
  const convert = (bytes: Uint8Array) => {
    const { codes, scales, zeroPoints } = roundRows(asFloats(bytes, dtype), columns, bits);
    return [codes, bytesOf(scales), ...(zeroPoints ? [zeroPoints] : [])];
  };
  return { source, results, conversion: { rows, columns, convert } };
}

function keepBlocks({ tensors }: StoredTensors): Rewriting[] {
  return [...tensors.values()].map((source) =>
    isBlockType(source.dtype) ? blocksOf(source, source.dtype) : copied(source),
  );
}

function blocksOf(source: StoredTensor, type: BlockType): Rewriting {
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
  // Biases and norms are few.
  const { weights: columns } = layoutOf(type);
  const convert = (bytes: Uint8Array) => [bytesOf(valuesOfBlocks(type, bytes))];
  const rows = elementCount(shape) / columns;
  return { source, results: [{ name, dtype: 'F32', shape }], conversion: { rows, columns, convert } };
}

function copied(source: StoredTensor): Rewriting {
  const { name, dtype, shape } = source;
  // Only those in blocks are of no type of safetensors.
  return { source, results: [{ name, dtype: dtype as DType, shape }] };
}
