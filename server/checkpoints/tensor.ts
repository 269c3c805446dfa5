import { CodedError } from '../../shared/errors.ts';
import type { DType } from '../../shared/safetensors.ts';
import { elementCount } from '../../shared/safetensors.ts';
import type { ByteRange } from '../disk/byte-range.ts';
import type { BlockType } from './gguf/ggml-blocks.ts';

/** A tensor in a weights file: what it is and where its bytes lie. */
export interface StoredTensor {
  readonly name: string;
  /** One of ggml's blocks in GGUF files alone. */
  readonly dtype: DType | BlockType;
  readonly shape: readonly number[];
  readonly data: ByteRange;
  /** Which rows these are of the tensor of this name, where they are not all: `[begin:end]`. */
  readonly rows?: string;
  /** What its elements are to be multiplied by: one number, one for each row, or one for each block of codes. */
  readonly scale?: StoredTensor;
  /** Of 4-bit blocks alone, two in a byte: [rows, ceil(blocks / 2)]; or one number for each: [rows, blocks]. */
  readonly zeroPoints?: StoredTensor;
}

/** What the headers of one file, or of all shards of an index, tell. */
export interface StoredTensors {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Size of the file, or of all shards. */
  readonly bytes: number;
}

/** Whether a name is that of a network's own tensor; others, as scales and zero points, only say how one is to be read. */
export function isParameter(name: string): boolean {
  return /\.(weight|bias|scale)$/.test(name);
}

/** [rows, columns] as a linear layer sees it: blocks of codes and 1x1 convolutions are matrices as well. */
export function matrixShape({ shape, zeroPoints }: StoredTensor): [number, number] {
  return [shape[0] ?? 0, elementCount(shape.slice(1)) * (zeroPoints ? 2 : 1)];
}

/** Rows of a tensor, where they lie: nothing is copied. */
export function rowsOf(tensor: StoredTensor, begin: number, count: number): StoredTensor {
  const rows = tensor.shape[0] ?? 0;
  if (begin === 0 && count === rows) return tensor;
  const { shape, data, scale, zeroPoints } = tensor;
  const rowBytes = data.length / rows;
  return {
    ...tensor,
    rows: `${tensor.rows ?? ''}[${begin}:${begin + count}]`,
    shape: shape.with(0, count),
    data: { file: data.file, offset: data.offset + begin * rowBytes, length: count * rowBytes },
    ...(scale && { scale: scale.shape[0] === rows ? rowsOf(scale, begin, count) : scale }),
    ...(zeroPoints && { zeroPoints: rowsOf(zeroPoints, begin, count) }),
  };
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
