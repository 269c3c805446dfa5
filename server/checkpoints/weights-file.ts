import { elementCount } from '../../shared/safetensors.ts';
import type { NetworkName } from './bundle.ts';
import { isFloat8 } from './float8.ts';
import { openStored } from './header.ts';
import { type KeyMap, keyMapOf } from './key-map.ts';
import {
  invalidFile,
  matrixShape,
  type PlainTensor,
  rowsOf,
  type StoredTensor,
  type StoredTensors,
} from './tensor.ts';

export { invalidFile };

/**
 * The weights of one network; only headers are read: one safetensors file, shards with their index, or a GGUF
 * file.
 */
export class WeightsFile {
  readonly #stored: StoredTensors;
  readonly #keyMap: KeyMap;
  /** Under black-forest-labs' names, whatever the file uses. */
  readonly names: readonly string[];
  /** A network has biases everywhere or, like T5, nowhere: this is how a missing one is noticed. */
  readonly hasBiases: boolean;

  private constructor(
    /** Absolute path; for shards, that of the index. */
    readonly file: string,
    stored: StoredTensors,
  ) {
    this.#stored = stored;
    this.#keyMap = keyMapOf([...stored.tensors.keys()]);
    this.names = [...this.#keyMap.keys()].filter((name) => this.has(name));
    this.hasBiases = this.names.some((name) => name.endsWith('.bias'));
  }

  /**
   * Reads and checks the header of `file`, or of its substitute: shards with their index, or a GGUF file.
   * @param network the one to take from an all-in-one checkpoint
   * @throws CodedError `model-missing` if there is no such file, `model-file-invalid` with the file's name
   */
  static async open(file: string, network?: NetworkName): Promise<WeightsFile> {
    const opened = await openStored(file, network);
    return new WeightsFile(opened.file, opened.stored);
  }

  /** Size in bytes of the whole file, or of all shards. */
  get bytes(): number {
    return this.#stored.bytes;
  }

  /** Under the file's own names. */
  get tensors(): ReadonlyMap<string, PlainTensor> {
    return this.#stored.tensors;
  }

  /** The files with the tensors: one file, or all shards. */
  get files(): readonly string[] {
    return [...new Set([...this.#stored.tensors.values()].map(({ data }) => data.file))];
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#stored.metadata;
  }

  /** True even if parts of the tensor are missing. */
  has(name: string): boolean {
    return this.#keyMap.get(name)?.some((part) => this.#stored.tensors.has(part.name)) ?? false;
  }

  /**
   * The stored tensors whose rows, in this order, are the rows of a tensor.
   * @throws CodedError `model-file-invalid` if one of them is missing
   */
  parts(name: string): readonly StoredTensor[] {
    const parts = this.#keyMap.get(name) ?? [{ name }];
    return parts.map((part) => {
      const tensor = this.#scaled(part.name);
      if (part.half === undefined) return tensor;
      const rows = (tensor.shape[0] ?? 0) / 2;
      if (!Number.isInteger(rows)) {
        throw invalidFile(`${tensor.data.file} has "${part.name}" with an odd number of rows: ${rows * 2}.`);
      }
      return rowsOf(tensor, part.half * rows, rows);
    });
  }

  /**
   * A tensor that is stored in one piece.
   * @throws CodedError `model-file-invalid` if there is none of this name
   */
  get(name: string): StoredTensor {
    const [tensor, ...others] = this.parts(name);
    if (!tensor || others.length > 0) throw new Error(`"${name}" lies in ${others.length + 1} places`);
    return tensor;
  }

  /** A number from the metadata. */
  number(key: string, otherwise: number): number {
    const text = this.metadata[key];
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value)) return value;
    throw invalidFile(`${this.file} has "${key}": "${text}" in its metadata, which is not a number.`);
  }

  #tensor(name: string): PlainTensor {
    const tensor = this.#stored.tensors.get(name);
    if (!tensor) throw invalidFile(`${this.file} has no tensor "${name}".`);
    return tensor;
  }

  #scaled(name: string): StoredTensor {
    const tensor = this.#tensor(name);
    if (tensor.dtype === 'U8') {
      const zeroPoints = this.#stored.tensors.get(`${name}.zero_points`);
      const scale = this.#tensor(`${name}.scales`);
      return { ...tensor, storage: 'blocks', dtype: 'U8', scale, ...(zeroPoints && { zeroPoints }) };
    }
    const { dtype } = tensor;
    if (!isFloat8(dtype)) return tensor;
    const known = scaleNames(name);
    const scaleName = known.find((other) => other !== name && this.#stored.tensors.has(other));
    if (scaleName === undefined) return tensor;
    const scale = this.#tensor(scaleName);
    const count = elementCount(scale.shape);
    const [rows] = matrixShape(tensor);
    if (count !== 1 && !(count === rows && scale.shape[0] === rows)) {
      throw invalidFile(
        `${scale.data.file} has "${scaleName}" as [${scale.shape.join(', ')}], which is neither one scale nor one for each of the ${rows} rows of "${name}".`,
      );
    }
    return { ...tensor, storage: 'scaled', dtype, scale };
  }
}

/**
 * Possible names for the scale of a float8 weight; many files have none. Whatever its name, the weight is
 * multiplied by it: `weight_scale` (diffusers; ComfyUI, comfy/ops.py), `scale_weight` (ComfyUI's older
 * files), and `weight_scale_inv`, which, despite its name, is the inverse of the factor that the weight was
 * multiplied by (deepseek-ai/DeepSeek-V3, inference/fp8_cast_bf16.py, `weight_dequant`).
 */
function scaleNames(name: string): readonly string[] {
  return [`${name}_scale`, `${name}_scale_inv`, name.replace(/\.weight$/, '.scale_weight')];
}
