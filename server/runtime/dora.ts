/**
 * The norms that DoRA (Liu et al. 2024) scales by. They depend on the base, so they are computed once, when
 * an adapter is opened.
 */
import { open } from 'node:fs/promises';
import type { Adapter, AdapterBases } from '../checkpoints/lora/adapter.ts';
import { adaptedNetworks } from '../checkpoints/lora/adapter-keys.ts';
import type { Change, Changes, WeightChange } from '../checkpoints/lora/change.ts';
import { matrixShape, rowsOf, type StoredTensor } from '../checkpoints/tensor.ts';
import type { WeightsFile } from '../checkpoints/weights-file.ts';
import { readAt } from '../disk/read-range.ts';
import { Graph } from '../graph/graph.ts';
import { deltaWeight } from '../nn/adapter-forms.ts';
import { dequantize } from '../quantize/dequantize.ts';
import { Session } from './session.ts';

/**
 * lycoris adds float32's epsilon to the norm (functional/general.py, `_weight_decompose`); PEFT does not. The
 * difference is not visible.
 */
const epsilon = 2 ** -23;

/** Adds the gains of the adapter's DoRA layers: magnitude / norm of the adapted weight at strength 1. */
export async function withGains(adapter: Adapter, bases: AdapterBases): Promise<Adapter> {
  const changes = { ...adapter.changes };
  for (const network of adaptedNetworks) {
    const base = bases[network];
    const all = [...adapter.changes[network].values()].flat();
    if (!base || !all.some((change) => change.kind === 'weight' && change.magnitude)) continue;
    changes[network] = await gainsOf(adapter.changes[network], base);
  }
  return { ...adapter, changes };
}

async function gainsOf(changes: Changes, base: WeightsFile): Promise<Changes> {
  const complete = new Map<string, readonly Change[]>();
  for (const [name, all] of changes) {
    const changed: Change[] = [];
    for (const change of all) {
      const isDoRA = change.kind === 'weight' && change.magnitude !== undefined;
      changed.push(isDoRA ? { ...change, gain: await gainOf(name, change, base) } : change);
    }
    complete.set(name, changed);
  }
  return complete;
}

async function gainOf(name: string, change: WeightChange, base: WeightsFile): Promise<Float32Array> {
  const { magnitude, rows } = change;
  const weight = await rowsOfMatrix(base.parts(name), change);
  const graph = Graph.create('norms');
  const given = graph.input('weight', 'float32', [rows, weight.length / rows]);
  const delta = deltaWeight(graph, change);
  const axis = magnitude!.axis === 'rows' ? 1 : 0;
  const length = axis === 1 ? rows : weight.length / rows;
  const options = { attributes: { keepdims: { int: 0 } } };
  const output = { type: 'float32', shape: [length] } as const;
  const [norm] = graph.add('ReduceL2', [graph.plus(given, delta), graph.integers([axis])], [output], options);
  graph.output('norm', norm!);
  const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: true });
  try {
    const { norm: norms } = await session.run({ weight }, 'norm');
    return norms.map((value, i) => magnitude!.values[i]! / (value + epsilon));
  } finally {
    await session.release();
  }
}

/** Rows of a layer that may be spread over several tensors, as numbers: [rows, K] */
async function rowsOfMatrix(
  parts: readonly StoredTensor[],
  { begin, rows }: Pick<WeightChange, 'begin' | 'rows'>,
): Promise<Float32Array> {
  const found: Float32Array[] = [];
  let first = 0;
  for (const part of parts) {
    const [size] = matrixShape(part);
    const [from, to] = [Math.max(begin, first), Math.min(begin + rows, first + size)];
    if (from < to) found.push(await dequantize(rowsOf(part, from - first, to - from), readBytes));
    first += size;
  }
  if (found.length === 1) return found[0]!;
  const joined = new Float32Array(found.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const values of found) {
    joined.set(values, at);
    at += values.length;
  }
  return joined;
}

async function readBytes({ data: { file, offset, length } }: StoredTensor): Promise<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    return await readAt(handle, offset, length);
  } finally {
    await handle.close();
  }
}
