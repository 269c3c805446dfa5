import { readFileSync } from 'node:fs';
import path from 'node:path';
import { decodeContainer, type Tensor } from '../../shared/safetensors.ts';

/** One row of the table. */
export interface Row {
  readonly title: string;
  readonly configuration: string;
  readonly values: number;
  /** The largest distance of a value from the reference's. */
  readonly maxError: number;
  /** Frobenius: |ours - reference| / |reference|. */
  readonly relativeError: number;
  /** What is asked for, in words. */
  readonly limit: string;
  readonly ok: boolean;
}

type Numbers = Float32Array | readonly number[];

/** Both errors; values that are no numbers give errors that no limit lets pass. */
export function compare(ours: Numbers, reference: Numbers) {
  if (ours.length !== reference.length) {
    throw new Error(`${ours.length} values of ours against ${reference.length} of the reference`);
  }
  let maxError = 0;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < reference.length; i++) {
    const error = Math.abs(ours[i]! - reference[i]!);
    if (!(error <= maxError)) maxError = error;
    difference += error ** 2;
    size += reference[i]! ** 2;
  }
  const relativeError = difference === 0 ? 0 : Math.sqrt(difference / size);
  return { values: reference.length, maxError, relativeError };
}

/** A row whose relative error is limited. */
export function withinRelative(
  line: Said,
  part: string,
  ours: Float32Array,
  reference: Float32Array,
  limit: number,
): Row {
  const errors = compare(ours, reference);
  return row(line, part, errors, `relative < ${limit}`, errors.relativeError < limit);
}

/** A row in which no single value may be further away than `limit`. */
export function withinAbsolute(
  line: Said,
  part: string,
  ours: Numbers,
  reference: Numbers,
  limit: number,
): Row {
  const errors = compare(ours, reference);
  return row(line, part, errors, `max <= ${limit}`, errors.maxError <= limit);
}

type Said = Pick<Row, 'title' | 'configuration'>;

function row(
  { title, configuration }: Said,
  part: string,
  errors: ReturnType<typeof compare>,
  limit: string,
  ok: boolean,
): Row {
  return { title: part ? `${title}, ${part}` : title, configuration, ...errors, limit, ok };
}

/** The tensors of a file as float32 or, if they are integers, as their values. */
export function readArrays(folder: string, name: string) {
  const { tensors } = decodeContainer(readFileSync(path.join(folder, name)), name);
  const tensor = (key: string): Tensor => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${name} has no tensor "${key}"`);
    return found;
  };
  return {
    names: [...tensors.keys()],
    shape: (key: string) => tensor(key).shape,
    floats: (key: string) => new Float32Array(bytesOf(tensor(key), 'F32')),
    integers: (key: string) => new Int32Array(bytesOf(tensor(key), 'I32')),
  };
}

function bytesOf({ dtype, data }: Tensor, wanted: string): ArrayBuffer {
  if (dtype !== wanted) throw new Error(`a tensor is ${dtype}, not ${wanted}`);
  return Uint8Array.from(data).buffer;
}
