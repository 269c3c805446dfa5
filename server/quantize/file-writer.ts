/** Writes a safetensors file tensor by tensor from those of other files; an interrupted run can be resumed. */
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { bytesPerElement, type DType, elementCount } from '../../shared/safetensors.ts';
import { invalidFile, type StoredTensor } from '../checkpoints/tensor.ts';
import { freeBytes, readAt, writeAt } from '../disk/read-range.ts';
import { rename } from '../disk/rename.ts';

export interface WriteOptions {
  /** Bytes written so far, and in total. */
  readonly onProgress?: (written: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Suffix of a file that is still incomplete. */
export const unfinished = '.partial';

/** How much of a tensor is in memory at a time, before and after conversion. */
const weightsAtOnce = 2 ** 21;
const bytesAtOnce = 2 ** 23;

export interface Written {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What a stored tensor becomes: the results follow one another in the file. */
export interface OutputTensor {
  readonly source: StoredTensor;
  readonly results: readonly Written[];
  /** Undefined if the tensor is copied. */
  readonly conversion?: Conversion | undefined;
}

export interface Conversion {
  /** The tensor as a matrix; any number of rows can be converted independently. */
  readonly rows: number;
  readonly columns: number;
  /**
   * Converts some rows to the bytes of each result.
   * @throws RangeError saying what is wrong with them
   */
  readonly convert: (bytes: Uint8Array) => readonly Uint8Array[];
}

interface PlacedTensor extends OutputTensor {
  /** Position in the result, after the header. */
  readonly begin: number;
  readonly length: number;
}

type Metadata = Readonly<Record<string, string>>;

/** The file that `writeTensors` writes: its header and its total size. */
export interface FileLayout {
  readonly header: Uint8Array;
  readonly bytes: number;
}

export function fileLayoutOf(outputs: readonly OutputTensor[], metadata: Metadata): FileLayout {
  const parts = place(outputs);
  const header = encodeHeader(parts, metadata);
  return { header, bytes: header.length + parts.reduce((sum, { length }) => sum + length, 0) };
}

/**
 * Writes `target` completely or not at all. An interrupted run's `target.partial` is resumed, and gives the same bytes.
 * @throws CodedError `cancelled`, `disk-full`, `model-file-invalid`
 */
export async function writeTensors(
  target: string,
  outputs: readonly OutputTensor[],
  metadata: Metadata,
  { onProgress, signal }: WriteOptions,
): Promise<void> {
  const parts = place(outputs);
  const { header, bytes: total } = fileLayoutOf(outputs, metadata);
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
      // After a power failure, all parts but the last are then known to be complete.
      await output.datasync();
    }
    await output.sync();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause;
    throw diskFull(path.dirname(target), 'the disk filled up while writing', cause);
  } finally {
    await output.close();
    await files.close();
  }
  await rename(partial, target);
}

function place(outputs: readonly OutputTensor[]): PlacedTensor[] {
  let begin = 0;
  return outputs.map((rewriting) => {
    const length = rewriting.results.reduce((sum, result) => sum + bytesIn(result), 0);
    const part = { ...rewriting, begin, length };
    begin += length;
    return part;
  });
}

function bytesIn({ dtype, shape }: Written): number {
  return elementCount(shape) * bytesPerElement[dtype];
}

function encodeHeader(parts: readonly PlacedTensor[], metadata: Metadata): Uint8Array {
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

/** Yields one part's results in pieces, in order. All but the first wait in memory: at most an eighth of a byte per weight. */
async function* resultsOf(
  part: PlacedTensor,
  files: OpenFiles,
): AsyncGenerator<{ bytes: Uint8Array; at: number }> {
  const { source, results, conversion } = part;
  const { data } = source;
  if (!conversion) {
    for (let at = 0; at < data.length; at += bytesAtOnce) {
      const length = Math.min(bytesAtOnce, data.length - at);
      yield { bytes: await files.read({ ...data, offset: data.offset + at, length }), at };
    }
    return;
  }
  const { rows, columns, convert } = conversion;
  const rowBytes = data.length / rows;
  const rowsAtOnce = Math.max(1, Math.floor(weightsAtOnce / columns));
  const later: Uint8Array[][] = results.slice(1).map(() => []);
  let at = 0;
  for (let row = 0; row < rows; row += rowsAtOnce) {
    const length = Math.min(rowsAtOnce, rows - row) * rowBytes;
    const bytes = await files.read({ ...data, offset: data.offset + row * rowBytes, length });
    const [first, ...others] = converted(source, () => convert(bytes));
    for (const [i, other] of others.entries()) later[i]!.push(other);
    yield { bytes: first!, at };
    at += first!.length;
  }
  for (const bytes of later.flat()) {
    yield { bytes, at };
    at += bytes.length;
  }
}

function converted<T>({ name, data }: StoredTensor, convert: () => T): T {
  try {
    return convert();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw invalidFile(`"${name}" of ${data.file} cannot be quantized: ${cause.message}.`, cause);
  }
}
/** How much of a partial file can be kept: nothing if its header differs. */
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

/** The last part may be damaged even if its length is right, because power can fail before its bytes are on disk: it is redone. */
function firstMissing(parts: readonly PlacedTensor[], kept: number): number {
  const whole = parts.findIndex(({ begin, length }) => begin + length > kept);
  return Math.max(0, (whole === -1 ? parts.length : whole) - 1);
}

export async function sizeOf(file: string): Promise<number | undefined> {
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
    detail: `There is not enough space for the quantized weights in ${folder}: ${why}.`,
    remedy: 'Free some space and run it again to resume, or set ACEPP_HOME to a folder on another disk.',
    cause,
  });
}

function cancelled(): CodedError {
  return new CodedError('cancelled', {
    detail: 'The quantization was cancelled.',
    remedy: 'Run it again to resume.',
  });
}

/** The source files, each opened once. */
class OpenFiles {
  readonly #handles = new Map<string, FileHandle>();

  /** Reads into a new buffer from offset 0, so it can be viewed as numbers of any size. */
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
