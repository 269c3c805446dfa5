import { CodedError } from '../../shared/errors.ts';
import type { DType } from '../../shared/safetensors.ts';
import { elementCount } from '../../shared/safetensors.ts';
import type { ByteRange } from '../disk/byte-range.ts';
import type { Float8 } from './float8.ts';
import type { BlockType } from './gguf/ggml-blocks.ts';

interface Located {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: ByteRange;
  /** The rows `[begin:end]` of the named tensor, if not all of them. */
  readonly rows?: string;
}

/** Element types as the header names them; ggml's block types occur only in GGUF files. */
export interface PlainTensor extends Located {
  readonly storage: 'plain';
  readonly dtype: DType | BlockType;
}

/** Float8 with a scale to multiply by: one for the whole tensor, or one per row. */
export interface ScaledTensor extends Located {
  readonly storage: 'scaled';
  readonly dtype: Float8;
  readonly scale: PlainTensor;
}

/** Blocks of codes, [rows, blocks, bytes]: 8 bits, or 4 bits with zero points. */
export interface BlocksTensor extends Located {
  readonly storage: 'blocks';
  readonly dtype: 'U8';
  /** [rows, blocks] */
  readonly scale: PlainTensor;
  /** Two per byte, [rows, ceil(blocks / 2)]; or one byte each, [rows, blocks]. */
  readonly zeroPoints?: PlainTensor;
}

/** A tensor in a weights file: what it is and where its bytes are. */
export type StoredTensor = PlainTensor | ScaledTensor | BlocksTensor;

/** What the headers of one file, or of all shards of an index, contain. */
export interface StoredTensors {
  readonly tensors: ReadonlyMap<string, PlainTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Size in bytes of the file, or of all shards. */
  readonly bytes: number;
}

/**
 * Whether a name is one of the network's own tensors; others, such as scales and zero points, only describe
 * how to read one.
 */
export function isParameter(name: string): boolean {
  return /\.(weight|bias|scale)$/.test(name);
}

/** [rows, columns] as a linear layer sees it: quantized blocks and 1x1 convolutions are matrices too. */
export function matrixShape(tensor: StoredTensor): [number, number] {
  const { shape } = tensor;
  const codesInByte = tensor.storage === 'blocks' && tensor.zeroPoints ? 2 : 1;
  return [shape[0] ?? 0, elementCount(shape.slice(1)) * codesInByte];
}

/** A view of some rows of a tensor: nothing is copied. */
export function rowsOf<Tensor extends StoredTensor>(tensor: Tensor, begin: number, count: number): Tensor;
export function rowsOf(tensor: StoredTensor, begin: number, count: number): StoredTensor {
  const rows = tensor.shape[0] ?? 0;
  if (begin === 0 && count === rows) return tensor;
  const rowBytes = tensor.data.length / rows;
  const taken = {
    rows: `${tensor.rows ?? ''}[${begin}:${begin + count}]`,
    shape: tensor.shape.with(0, count),
    data: { ...tensor.data, offset: tensor.data.offset + begin * rowBytes, length: count * rowBytes },
  };
  if (tensor.storage === 'plain') return { ...tensor, ...taken };
  const scale = tensor.scale.shape[0] === rows ? rowsOf(tensor.scale, begin, count) : tensor.scale;
  if (tensor.storage === 'scaled') return { ...tensor, ...taken, scale };
  const { zeroPoints } = tensor;
  return { ...tensor, ...taken, scale, ...(zeroPoints && { zeroPoints: rowsOf(zeroPoints, begin, count) }) };
}

export function describeTensor({ dtype, shape }: StoredTensor): string {
  return `${dtype} [${shape.join(', ')}]`;
}

export function invalidFile(
  detail: string,
  cause?: unknown,
  remedy = 'Install the model again; its file is incomplete, or made for something else.',
): CodedError {
  return new CodedError('model-file-invalid', {
    detail,
    remedy,
    cause,
  });
}
