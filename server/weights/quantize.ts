/**
 * Writes the linear layers of a weights file in 4 or 8 bits, everything else as it is, under the same names. Of a layer's weight
 * [N, K] there is `X.weight` U8 [N, K/64, 64 or 32], `X.weight.scales` F32 [N, K/64] and, at 4 bits,
 * `X.weight.zero_points` U8 [N, ceil(K/64/2)].
 */
import { type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { bytesOf, bytesPerElement, type DType } from '../../shared/safetensors.ts';
import { elementCount } from '../graph/value.ts';
import { freeBytes, readAt, writeAt } from './disk.ts';
import { openStored, type StoredTensors } from './header.ts';
import { asFloats, readableTypes } from './numbers.ts';
import { type Bits, blockSize, roundRows } from './rounding.ts';
import { invalidFile, rowsOf, type StoredTensor } from './tensor.ts';

export interface QuantizeOptions {
  /** Bytes of the result so far and in the end. */
  readonly onProgress?: (written: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** After the name of what is not yet whole. */
export const unfinished = '.partial';

/** Weights of a layer that are in memory at a time. */
const weightsAtOnce = 2 ** 21;
const bytesAtOnce = 2 ** 23;

interface Written {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What a stored tensor becomes: the results lie one after another in the file. */
interface Part {
  readonly source: StoredTensor;
  /** Undefined where it is copied. */
  readonly bits: Bits | undefined;
  readonly results: readonly Written[];
  /** In the result, after the header. */
  readonly begin: number;
  readonly length: number;
}

/**
 * Writes `target`, which is there as a whole or not at all. What an ended run left in `target.partial` is gone on with, and ends in
 * the same bytes. Nothing is done where `target` is there.
 * @throws CodedError `cancelled`, `disk-full`, `model-missing`, `model-file-invalid`
 */
export async function quantizeFile(
  source: string,
  target: string,
  bits: Bits,
  { onProgress, signal }: QuantizeOptions = {},
): Promise<void> {
  if (await sizeOf(target)) return;
  const { file, stored } = await openStored(source);
  const parts = planParts(file, stored, bits);
  const { header, bytes: total } = layoutOf(parts, stored);
  const partial = target + unfinished;
  await mkdir(path.dirname(target), { recursive: true });
  const kept = await keptBytes(partial, header);
  await checkSpace(path.dirname(target), total - kept);
  const output = await open(partial, kept > 0 ? 'r+' : 'w');
  const files = new OpenFiles();
  try {
    if (kept === 0) await writeAt(output, 0, header);
    for (const part of parts.slice(firstMissing(parts, kept - header.length))) {
      const begin = header.length + part.begin;
      for await (const { bytes, at } of resultsOf(part, files)) {
        await writeAt(output, begin + at, bytes);
        onProgress?.(begin + at + bytes.length, total);
        if (signal?.aborted) throw cancelled();
      }
      // So that after a power cut all parts but the last are known to be whole.
      await output.datasync();
    }
    await output.sync();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
    throw diskFull(path.dirname(target), 'it filled up meanwhile', cause);
  } finally {
    await output.close();
    await files.close();
  }
  await rename(partial, target);
}

/**
 * What `quantizeFile` would write: the header, and the bytes of the whole.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function quantizedLayout(
  source: string,
  bits: Bits,
): Promise<{ header: Uint8Array; bytes: number }> {
  const { file, stored } = await openStored(source);
  return layoutOf(planParts(file, stored, bits), stored);
}

function layoutOf(parts: readonly Part[], { metadata }: StoredTensors) {
  const header = encodeHeader(parts, metadata);
  return { header, bytes: header.length + parts.reduce((sum, { length }) => sum + length, 0) };
}

/** Layers outside the blocks are few, and all else passes through them: they keep 8 bits. */
export function bitsFor({ name, dtype, shape }: StoredTensor, bits: Bits): Bits | undefined {
  const isLinear = name.endsWith('.weight') && shape.length === 2 && (shape[1] ?? 0) % blockSize === 0;
  const isTable = /(^|\.)(shared|embed_tokens|token_embedding|relative_attention_bias)\.weight$/.test(name);
  if (!isLinear || isTable || !readableTypes.includes(dtype)) return undefined;
  return /(^|_|\.)(blocks?)\.\d+\./.test(name) ? bits : 8;
}

function planParts(file: string, { tensors }: StoredTensors, bits: Bits): Part[] {
  let begin = 0;
  const parts = [...tensors.values()].map((source): Part => {
    const bitsOfPart = bitsFor(source, bits);
    const results = bitsOfPart ? roundedResults(source, bitsOfPart) : [source];
    const length = results.reduce((sum, result) => sum + bytesIn(result), 0);
    const part = { source, bits: bitsOfPart, results, begin, length };
    begin += length;
    return part;
  });
  if (parts.some((part) => part.bits === bits)) return parts;
  throw new CodedError('model-file-invalid', {
    detail: `${file} has no linear layers in blocks as float32, float16 or bfloat16.`,
    remedy: 'Quantize the original weights; 8-bit files run as they are.',
  });
}

function roundedResults({ name, shape }: StoredTensor, bits: Bits): Written[] {
  const [rows = 0, columns = 0] = shape;
  const blocks = columns / blockSize;
  const results: Written[] = [
    { name, dtype: 'U8', shape: [rows, blocks, (blockSize * bits) / 8] },
    { name: `${name}.scales`, dtype: 'F32', shape: [rows, blocks] },
  ];
  if (bits === 4)
    results.push({ name: `${name}.zero_points`, dtype: 'U8', shape: [rows, Math.ceil(blocks / 2)] });
  return results;
}

function bytesIn({ dtype, shape }: Written): number {
  return elementCount(shape) * bytesPerElement[dtype];
}

function encodeHeader(parts: readonly Part[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const header: Record<string, object> = { __metadata__: { ...metadata, format: 'pt' } };
  for (const { results, begin: first } of parts) {
    let begin = first;
    for (const result of results) {
      const end = begin + bytesIn(result);
      header[result.name] = { dtype: result.dtype, shape: result.shape, data_offsets: [begin, end] };
      begin = end;
    }
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

/** The results of one part in pieces, in order. The scales of a layer wait in memory: a sixteenth of its weights in bytes. */
async function* resultsOf(part: Part, files: OpenFiles): AsyncGenerator<{ bytes: Uint8Array; at: number }> {
  const { source, bits } = part;
  if (!bits) {
    const { data } = source;
    for (let at = 0; at < data.length; at += bytesAtOnce) {
      const length = Math.min(bytesAtOnce, data.length - at);
      yield { bytes: await files.read({ ...data, offset: data.offset + at, length }), at };
    }
    return;
  }
  const [rows = 0, columns = 0] = source.shape;
  const rowsAtOnce = Math.max(1, Math.floor(weightsAtOnce / columns));
  const later: Uint8Array[][] = [[], []];
  let at = 0;
  for (let row = 0; row < rows; row += rowsAtOnce) {
    const { data } = rowsOf(source, row, Math.min(rowsAtOnce, rows - row));
    const weights = asFloats(await files.read(data), source.dtype);
    const { codes, scales, zeroPoints } = rounded(source, () => roundRows(weights, columns, bits));
    later[0]!.push(bytesOf(scales));
    if (zeroPoints) later[1]!.push(zeroPoints);
    yield { bytes: codes, at };
    at += codes.length;
  }
  for (const bytes of later.flat()) {
    yield { bytes, at };
    at += bytes.length;
  }
}

function rounded<T>({ name, data }: StoredTensor, round: () => T): T {
  try {
    return round();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw invalidFile(`"${name}" of ${data.file} cannot be quantized: ${cause.message}.`, cause);
  }
}

/** How much of a partial file counts: nothing of one with another header. */
async function keptBytes(partial: string, header: Uint8Array): Promise<number> {
  const size = (await sizeOf(partial)) ?? 0;
  if (size < header.length) return 0;
  const handle = await open(partial, 'r');
  try {
    const { buffer } = await handle.read(new Uint8Array(header.length), 0, header.length, 0);
    return Buffer.compare(buffer, header) === 0 ? size : 0;
  } finally {
    await handle.close();
  }
}

/** Of the parts that are there, the last may be broken even if its length is right: power can fail before its bytes are on the disk. */
function firstMissing(parts: readonly Part[], kept: number): number {
  const whole = parts.findIndex(({ begin, length }) => begin + length > kept);
  return Math.max(0, (whole === -1 ? parts.length : whole) - 1);
}

async function sizeOf(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ size }) => size,
    () => undefined,
  );
}

async function checkSpace(folder: string, needed: number): Promise<void> {
  const free = await freeBytes(folder);
  if (free < needed) throw diskFull(folder, `${needed} bytes are needed and ${free} are free`);
}

function diskFull(folder: string, why: string, cause?: unknown): CodedError {
  return new CodedError('disk-full', {
    detail: `There is no space for the quantized weights in ${folder}: ${why}.`,
    remedy:
      'Free some space, or let ACEPP_HOME name a folder on another disk; what is written is gone on with.',
    cause,
  });
}

function cancelled(): CodedError {
  return new CodedError('cancelled', {
    detail: 'The quantization was cancelled.',
    remedy: 'Run it again: it goes on where it ended.',
  });
}

/** The shards that are read from, each opened once. */
class OpenFiles {
  readonly #handles = new Map<string, FileHandle>();

  /** In a buffer of its own, from its start: so it may be seen as numbers of any size. */
  async read({ file, offset, length }: StoredTensor['data']): Promise<Uint8Array> {
    let handle = this.#handles.get(file);
    if (!handle) {
      handle = await open(file, 'r');
      this.#handles.set(file, handle);
    }
    const bytes = await readAt(handle, offset, length);
    if (bytes.length < length) throw invalidFile(`${file} ends at byte ${offset + bytes.length}.`);
    return bytes;
  }

  async close(): Promise<void> {
    for (const handle of this.#handles.values()) await handle.close();
  }
}
