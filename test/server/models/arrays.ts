import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ModelEntry } from '../../../server/catalogue/catalogue.ts';
import { projectRoot } from '../../../server/disk/paths.ts';
import { decodeContainer } from '../../../shared/safetensors.ts';

/** Written by test/reference/*.py. */
export const arraysFolder = path.join(projectRoot, 'test', 'reference', 'arrays');

/** Random weights in the official layouts. */
export const tinyModel: ModelEntry = {
  id: 'tiny',
  title: 'tiny',
  folder: path.join(arraysFolder, 'tiny'),
  maxSequence: 4096,
};

/** The float32 tensors of a file, with their shapes. */
export function readArrays(name: string) {
  const { tensors } = decodeContainer(readFileSync(path.join(arraysFolder, name)));
  return (tensor: string) => {
    const { data, shape } = tensors.get(tensor)!;
    return { data: new Float32Array(Uint8Array.from(data).buffer), shape };
  };
}

/** |a - b| / |b| */
export function relativeError(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(a.map((value, i) => value - b[i]!)) / norm(b);
}
