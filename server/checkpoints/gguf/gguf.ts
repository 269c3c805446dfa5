/**
 * The container of llama.cpp and related tools (ggml's docs/gguf.md), versions 2 and 3, little-endian: a
 * header of keys and values, then the names, shapes and offsets of the tensors, then their bytes. Every
 * length is checked against the file before anything is read with it.
 */
import type { FileHandle } from 'node:fs/promises';
import { CodedError } from '../../../shared/errors.ts';
import { bytesPerElement, maxHeaderBytes } from '../../../shared/safetensors.ts';
import { readAt } from '../../disk/read-range.ts';
import type { PlainTensor, StoredTensors } from '../tensor.ts';
import { type BlockType, blockLayoutOf, blockLayouts, isBlockType } from './ggml-blocks.ts';

/**
 * `general.architecture` of FLUX, as the converters of ComfyUI-GGUF write it; stable-diffusion.cpp writes
 * none.
 */
const architecture = 'flux';
/** The prefix in a converted all-in-one checkpoint, as ComfyUI names its parts. */
const partPrefix = 'model.diffusion_model.';

const plainTypes = { 0: 'F32', 1: 'F16', 30: 'BF16' } as const;
const blockTypes = {
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
} as const satisfies Readonly<Record<number, BlockType>>;
const readTypes: Readonly<Record<number, keyof typeof bytesPerElement | BlockType>> = {
  ...plainTypes,
  ...blockTypes,
};
/** enum ggml_type: the types that diffusion model files use. */
const otherTypes: Readonly<Record<number, string>> = {
  10: 'Q2_K',
  11: 'Q3_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

/** Size in bytes of a header value by type: integers, floats and booleans. */
const valueBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const [uint32Type, stringType, arrayType] = [4, 8, 9];
/** The maximum length of a key; tensor names are shorter. */
const longestText = 65535;
/** Nested arrays are allowed, but no known file has any. */
const deepestArray = 4;
const windowBytes = 2 ** 16;
/** The minimum size in the header of a key with its value, and of a tensor. */
const leastKeyBytes = 13;
const leastTensorBytes = 24;

/**
 * Which part of a split file this is, as llama.cpp's gguf-split writes it (`split.no`, `split.count`,
 * `split.tensors.count`).
 */
export interface GGUFSplit {
  /** Counted from 0. */
  readonly part: number;
  readonly parts: number;
  /** Number of tensors in all parts. */
  readonly tensors: number;
}

export interface GGUFHeader extends StoredTensors {
  readonly split?: GGUFSplit | undefined;
}

/**
 * Reads and checks the header of a FLUX GGUF file.
 * @throws CodedError `model-file-invalid` with the file, the value, and what to do
 */
export async function readGGUF(handle: FileHandle, size: number, file: string): Promise<GGUFHeader> {
  const header = new Header(handle, size, file);
  const magic = await header.uint32('its first four bytes');
  if (magic !== 0x46554747) throw header.damaged('it does not begin with "GGUF"');
  const version = await header.uint32('its version');
  if (version !== 2 && version !== 3) {
    const isBigEndian = version === 0x02000000 || version === 0x03000000;
    throw header.damaged(
      isBigEndian ? 'it is big-endian' : `it is of version ${version}, and 2 and 3 are read`,
    );
  }
  const tensorCount = await header.count('its number of tensors', leastTensorBytes);
  const keyCount = await header.count('its number of keys', leastKeyBytes);
  const { network, alignment, split } = await readKeys(header, keyCount);
  if (network !== undefined && network !== architecture) throw ofOther(file, network);
  const infos: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(await readInfo(header));
  const begin = Math.ceil(header.position / alignment) * alignment;
  const tensors = new Map<string, PlainTensor>();
  for (const info of infos) {
    const tensor = located(info, { file, begin, size, alignment, header });
    if (tensors.has(tensor.name)) throw header.damaged(`it has two tensors "${tensor.name}"`);
    tensors.set(tensor.name, tensor);
  }
  return { tensors, metadata: {}, bytes: size, split };
}

interface TensorInfo {
  readonly name: string;
  /** Innermost dimension last, as everywhere here. */
  readonly shape: readonly number[];
  readonly type: number;
  /** Relative to the start of all tensor data. */
  readonly offset: number;
}

interface Keys {
  readonly network?: string;
  readonly alignment: number;
  readonly split?: GGUFSplit | undefined;
}

/** Most values are skipped: language models store whole vocabularies. */
async function readKeys(header: Header, count: number): Promise<Keys> {
  let network: string | undefined;
  let alignment = 32;
  const split = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const key = await header.text('a key');
    const type = await header.uint32(`the type of "${key}"`);
    if (key === 'general.architecture' && type === stringType) network = await header.text(`"${key}"`);
    else if (key === 'general.alignment' && type === uint32Type) alignment = await header.uint32(`"${key}"`);
    else if (key.startsWith('split.') && splitTypes[type] !== undefined) {
      split.set(key, await header[splitTypes[type]](`"${key}"`));
    } else await header.skipValue(type, key);
  }
  if (alignment === 0 || alignment % 8 !== 0 || alignment > maxHeaderBytes) {
    throw header.damaged(`"general.alignment" is ${alignment}, which is no multiple of 8 that could be one`);
  }
  const [parts = 1, part = 0, tensors = 0] = ['count', 'no', 'tensors.count'].map((key) =>
    split.get(`split.${key}`),
  );
  return {
    ...(network !== undefined && { network }),
    alignment,
    ...(parts > 1 && { split: { part, parts, tensors } }),
  };
}

/** gguf-split writes uint16 and int32; other writers use uint32. */
const splitTypes: Readonly<Record<number, 'uint16' | 'uint32'>> = { 2: 'uint16', 4: 'uint32', 5: 'uint32' };

async function readInfo(header: Header): Promise<TensorInfo> {
  const name = await header.text('the name of a tensor');
  const rank = await header.uint32(`the rank of "${name}"`);
  if (rank > 4) throw header.damaged(`"${name}" has ${rank} axes, and there are 4 at most`);
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) shape.unshift(await header.uint64(`the shape of "${name}"`));
  const type = await header.uint32(`the type of "${name}"`);
  const offset = await header.uint64(`the place of "${name}"`);
  return { name, shape, type, offset };
}

interface TensorPlace {
  readonly file: string;
  /** Size of all tensor data. */
  readonly begin: number;
  readonly size: number;
  readonly alignment: number;
  readonly header: Header;
}

function located(info: TensorInfo, { file, begin, size, alignment, header }: TensorPlace): PlainTensor {
  const { name, shape, type, offset } = info;
  const dtype = readTypes[type];
  if (dtype === undefined) throw ofOtherType(file, name, type);
  const count = shape.reduce((product, length) => product * length, 1);
  if (shape.includes(0) || !Number.isSafeInteger(count)) {
    throw header.damaged(`"${name}" has the shape [${shape.join(', ')}]`);
  }
  const { weights, bytes } = isBlockType(dtype)
    ? blockLayoutOf(dtype)
    : { weights: 1, bytes: bytesPerElement[dtype] };
  if ((shape.at(-1) ?? 1) % weights !== 0) {
    throw header.damaged(
      `"${name}" is ${dtype} [${shape.join(', ')}], whose rows are no blocks of ${weights}`,
    );
  }
  const length = (count / weights) * bytes;
  if (offset % alignment !== 0)
    throw header.damaged(`"${name}" lies at ${offset}, no multiple of ${alignment}`);
  if (begin + offset + length > size) {
    throw header.damaged(
      `"${name}" lies at bytes ${begin + offset} to ${begin + offset + length}, but there are ${size}`,
    );
  }
  const plain = name.startsWith(partPrefix) ? name.slice(partPrefix.length) : name;
  return { storage: 'plain', name: plain, dtype, shape, data: { file, offset: begin + offset, length } };
}

/** Reads a header from its start, one window of the file at a time. */
class Header {
  readonly #handle: FileHandle;
  readonly #size: number;
  readonly #file: string;
  #window: Uint8Array = new Uint8Array();
  #begin = 0;
  position = 0;

  constructor(handle: FileHandle, size: number, file: string) {
    this.#handle = handle;
    this.#size = size;
    this.#file = file;
  }

  async uint16(what: string): Promise<number> {
    return (await this.#take(2, what)).getUint16(0, true);
  }

  async uint32(what: string): Promise<number> {
    return (await this.#take(4, what)).getUint32(0, true);
  }

  /** Above 2^53 the number is inexact, but too large to be valid anyway. */
  async uint64(what: string): Promise<number> {
    return Number((await this.#take(8, what)).getBigUint64(0, true));
  }

  /** Reads a count of items that take at least this many bytes each. */
  async count(what: string, leastBytes: number): Promise<number> {
    const count = await this.uint64(what);
    this.#check(count * leastBytes, `${what} is ${count}, which`);
    return count;
  }

  async text(what: string): Promise<string> {
    const length = await this.uint64(`the length of ${what}`);
    if (length > longestText) throw this.damaged(`${what} at byte ${this.position} has ${length} bytes`);
    const { buffer, byteOffset } = await this.#take(length, what);
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset, length));
  }

  async skipValue(type: number, key: string, depth = 0): Promise<void> {
    const what = `the value of "${key}"`;
    const bytes = valueBytes[type];
    if (bytes !== undefined) return this.#skip(bytes, what);
    if (type === stringType) return this.#skip(await this.uint64(what), what);
    if (type !== arrayType || depth === deepestArray) {
      throw this.damaged(`"${key}" has a value of the type ${type}, which is none`);
    }
    const elementType = await this.uint32(what);
    const elementBytes = valueBytes[elementType];
    const count = await this.count(`the length of "${key}"`, elementBytes ?? 8);
    if (elementBytes !== undefined) return this.#skip(count * elementBytes, what);
    for (let i = 0; i < count; i++) await this.skipValue(elementType, key, depth + 1);
  }

  damaged(what: string): CodedError {
    return new CodedError('model-file-invalid', {
      detail: `${this.#file} cannot be read as GGUF: ${what}.`,
      remedy: 'Fetch the file again: it is incomplete, damaged, or of another kind.',
    });
  }

  #skip(length: number, what: string): void {
    this.#check(length, what);
    this.position += length;
  }

  async #take(length: number, what: string): Promise<DataView> {
    this.#check(length, what);
    if (this.position < this.#begin || this.position + length > this.#begin + this.#window.length) {
      this.#begin = this.position;
      this.#window = await readAt(this.#handle, this.#begin, Math.max(length, windowBytes));
    }
    const { buffer, byteOffset } = this.#window;
    const view = new DataView(buffer, byteOffset + this.position - this.#begin, length);
    this.position += length;
    return view;
  }

  #check(length: number, what: string): void {
    const end = this.position + length;
    const beyond = `${what} takes ${length} bytes from byte ${this.position} on`;
    if (end > this.#size) throw this.damaged(`${beyond}, but it has ${this.#size}`);
    if (end > maxHeaderBytes) throw this.damaged(`${beyond}, but no header goes beyond ${maxHeaderBytes}`);
  }
}

function ofOther(file: string, network: string): CodedError {
  return new CodedError('model-file-invalid', {
    detail: `${file} is a GGUF file of "${network}", not of "${architecture}".`,
    remedy: 'Take one of FLUX.1-Fill-dev’s transformer.',
  });
}

function ofOtherType(file: string, name: string, type: number): CodedError {
  return new CodedError('model-file-invalid', {
    detail: `${file} has "${name}" as ${otherTypes[type] ?? `the type ${type} of ggml`}, which is not read.`,
    remedy: `Take the same model in Q4_K_S, Q8_0 or another of these types: ${Object.keys(blockLayouts).join(', ')}, F16, BF16, F32.`,
  });
}
