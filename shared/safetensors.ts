/**
 * The safetensors container, used for weights, requests and results: 8 bytes of little-endian header length,
 * a JSON header, raw little-endian data. Format: huggingface/safetensors, README "Format".
 */
import * as v from 'valibot';
import { CodedError } from './errors.ts';

/**
 * Bytes per element. Of the F8 and sub-byte types in newer files, only those that this project reads are
 * listed.
 */
export const bytesPerElement = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const;

export type DType = keyof typeof bytesPerElement;

/** Number of elements of a tensor with this shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The position of a tensor; offsets count from the first byte after the header. */
export interface TensorInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The raw little-endian bytes; a view into the container they were decoded from, if any. */
  readonly data: Uint8Array;
}

export interface Container {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** The reference implementation's limit: a longer header is an attack or a damaged file. */
export const maxHeaderBytes = 100_000_000;

const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const tensorEntry = v.object({
  dtype: v.string(),
  shape: v.pipe(v.array(wholeNumber), v.maxLength(16)),
  data_offsets: v.strictTuple([wholeNumber, wholeNumber]),
});
const metadataEntry = v.record(v.string(), v.string());

function invalid(name: string, what: string, cause?: unknown): CodedError {
  return new CodedError('container-invalid', {
    detail: `${name}: ${what}.`,
    remedy: 'It is incomplete or not a safetensors file: write it again with a safetensors library.',
    cause,
  });
}

/**
 * Reads the header's length from the first 8 bytes, and checks it against the file's length before anything
 * is allocated.
 * @param name names the file or request in the error
 * @throws CodedError `container-invalid`
 */
export function readHeaderLength(prefix: Uint8Array, fileLength: number, name: string): number {
  if (fileLength < 8 || prefix.length < 8)
    throw invalid(name, `${fileLength} bytes are too few for a header`);
  const view = new DataView(prefix.buffer, prefix.byteOffset, 8);
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (length > maxHeaderBytes) {
    throw invalid(
      name,
      `a header of ${length} bytes exceeds the limit of ${maxHeaderBytes}, so the file is damaged or not safetensors`,
    );
  }
  if (length + 8 > fileLength) {
    throw invalid(name, `the header says ${length} bytes, but the file ends after ${fileLength}`);
  }
  return length;
}

/**
 * Parses a header and checks every tensor's dtype, shape and position against the length of the data.
 * @throws CodedError `container-invalid`, naming the tensor
 */
export function parseHeader(headerJson: string, dataLength: number, name: string): SafetensorsHeader {
  let json: unknown;
  try {
    json = JSON.parse(headerJson);
  } catch (cause) {
    throw invalid(name, `the header is not JSON: ${(cause as Error).message}`, cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalid(name, 'the header is not a JSON object');
  }
  let metadata: Record<string, string> = {};
  const tensors = new Map<string, TensorInfo>();
  for (const [key, value] of Object.entries(json)) {
    if (key === '__metadata__') {
      const parsed = v.safeParse(metadataEntry, value);
      if (!parsed.success) throw invalid(name, '__metadata__ is not a map from text to text');
      metadata = parsed.output;
    } else {
      tensors.set(key, parseEntry(key, value, dataLength, name));
    }
  }
  rejectOverlapsAndGaps(tensors, dataLength, name);
  return { metadata, tensors };
}

function parseEntry(key: string, value: unknown, dataLength: number, name: string): TensorInfo {
  const parsed = v.safeParse(tensorEntry, value);
  if (!parsed.success)
    throw invalid(name, `tensor "${key}" has a malformed entry: ${parsed.issues[0].message}`);
  const { dtype, shape, data_offsets } = parsed.output;
  if (!Object.hasOwn(bytesPerElement, dtype))
    throw invalid(name, `tensor "${key}" has the unknown dtype ${dtype}`);
  const [begin, end] = data_offsets;
  const length = shape.reduce((product, size) => product * size, 1) * bytesPerElement[dtype as DType];
  if (begin > end || end > dataLength) {
    throw invalid(name, `tensor "${key}" lies at bytes ${begin} to ${end}, but there are ${dataLength}`);
  }
  if (end - begin !== length) {
    throw invalid(name, `tensor "${key}" has ${end - begin} bytes, but ${dtype} [${shape}] needs ${length}`);
  }
  return { dtype: dtype as DType, shape, begin, end };
}

/** As in the reference implementation: the tensors cover the data without any gaps. */
function rejectOverlapsAndGaps(
  tensors: ReadonlyMap<string, TensorInfo>,
  dataLength: number,
  name: string,
): void {
  const byPlace = [...tensors].filter(([, t]) => t.end > t.begin).sort(([, a], [, b]) => a.begin - b.begin);
  let [before, end] = ['', 0];
  for (const [key, tensor] of byPlace) {
    if (tensor.begin < end) throw invalid(name, `tensors "${before}" and "${key}" overlap`);
    if (tensor.begin > end) {
      throw invalid(name, `there is no tensor at bytes ${end} to ${tensor.begin}, before "${key}"`);
    }
    [before, end] = [key, tensor.end];
  }
  if (end < dataLength) {
    const last = before === '' ? 'there is no tensor' : `the last tensor, "${before}", ends at byte ${end}`;
    throw invalid(name, `${last}, but there are ${dataLength} bytes of data`);
  }
}

/**
 * Decodes a container; tensors are views into `bytes`.
 * @throws CodedError `container-invalid`
 */
export function decodeContainer(bytes: Uint8Array, name = 'The request'): Container {
  const headerLength = readHeaderLength(bytes, bytes.length, name);
  const headerJson = new TextDecoder().decode(bytes.subarray(8, 8 + headerLength));
  const data = bytes.subarray(8 + headerLength);
  const header = parseHeader(headerJson, data.length, name);
  const tensors = new Map<string, Tensor>();
  for (const [key, { dtype, shape, begin, end }] of header.tensors) {
    tensors.set(key, { dtype, shape, data: data.subarray(begin, end) });
  }
  return { metadata: header.metadata, tensors };
}

/** Encodes a container; the data starts at a multiple of 8 bytes, as in the reference implementation. */
export function encodeContainer(container: Container): Uint8Array<ArrayBuffer> {
  const entries: Record<string, unknown> = { __metadata__: container.metadata };
  let end = 0;
  for (const [key, { dtype, shape, data }] of container.tensors) {
    entries[key] = { dtype, shape, data_offsets: [end, end + data.length] };
    end += data.length;
  }
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const headerLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerLength + end);
  new DataView(bytes.buffer).setUint32(0, headerLength, true);
  bytes.fill(0x20, 8, 8 + headerLength);
  bytes.set(json, 8);
  let place = 8 + headerLength;
  for (const { data } of container.tensors.values()) {
    bytes.set(data, place);
    place += data.length;
  }
  return bytes;
}

/** The bytes of a typed array as a tensor's data, without copying. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The U16 elements of a tensor; copied only if the bytes are not aligned. */
export function asU16(data: Uint8Array): Uint16Array {
  const aligned = data.byteOffset % 2 === 0 ? data : data.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
}
