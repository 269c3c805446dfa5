import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isBlockType, valuesOfBlocks } from '../../server/checkpoints/gguf/ggml-blocks.ts';
import { openStored } from '../../server/checkpoints/header.ts';
import { WeightsFile } from '../../server/checkpoints/weights-file.ts';
import { Graph } from '../../server/graph/graph.ts';
import { type ComputeDType, float32 } from '../../server/graph/precision.ts';
import { Layers } from '../../server/nn/layers.ts';
import { writeBlocks } from '../../server/quantize/quantize.ts';
import { randn } from '../../server/sampling/noise.ts';
import type { LineOf } from './lines.ts';
import { type Row, readArrays, withinAbsolute, withinRelative } from './measure.ts';
import { compute, type How } from './networks.ts';

/** Of scales that are rounded to 11 bits and, in two types, of codes that are fitted; then of what is computed in. */
const limitIn: Readonly<Record<ComputeDType, number>> = { float32: 6e-3, bfloat16: 1e-2, float16: 6e-3 };

/** The values of a tensor of a GGUF file, read from where our header says that it lies; and a layer that has it as its weight. */
export async function compareBlocks(folder: string, line: LineOf<'blocks'>, how: How): Promise<Row[]> {
  const { transformer = float32 } = how;
  const reference = readArrays(folder, line.arrays).floats(line.type);
  const inLayer = await compareLayer(path.join(folder, line.weights), line, reference, how);
  if (transformer.type !== 'float32') return [inLayer];
  return [withinAbsolute(line, '', await valuesOf(folder, line), reference, 0), inLayer];
}

async function valuesOf(folder: string, line: LineOf<'blocks'>): Promise<Float32Array> {
  const file = path.join(folder, line.weights);
  const { stored } = await openStored(file);
  const tensor = stored.tensors.get(`${line.type}.weight`);
  if (!tensor || !isBlockType(tensor.dtype)) throw new Error(`${file} has no ${line.type}`);
  const { offset, length } = tensor.data;
  return valuesOfBlocks(tensor.dtype, Uint8Array.from(readFileSync(file).subarray(offset, offset + length)));
}

/** Zero points that are no whole numbers are new to some providers: here it shows whether one takes them. */
async function compareLayer(
  source: string,
  line: LineOf<'blocks'>,
  weights: Float32Array,
  { provider, transformer: precision = float32 }: How,
): Promise<Row> {
  const temporary = mkdtempSync(path.join(tmpdir(), 'acepp-blocks-'));
  try {
    const target = path.join(temporary, 'blocks.safetensors');
    await writeBlocks(source, target);
    const layers = new Layers(Graph.create('layer', precision), await WeightsFile.open(target));
    const [rows = 0, columns = 0] = layers.shape(`${line.type}.weight`);
    const tokens = 64;
    // So small that the largest of the weights stay within float16.
    const x = randn(1, tokens * columns).map((value) => value / 100);
    const given = layers.graph.given('x', [tokens, columns]);
    // Providers have another kernel for one row.
    const all = layers.linear(line.type, given);
    const first = layers.linear(line.type, layers.graph.rows(given, 0, 1));
    layers.graph.output('y', layers.graph.cast(layers.graph.concat(0, [all, first]), 'float32'));
    const y = await compute(provider, layers.graph.finish(), { x }, 'y', precision.type);
    const expected = Float32Array.from({ length: (tokens + 1) * rows }, (_, i) => {
      const [m, n] = [Math.floor(i / rows) % tokens, i % rows];
      let sum = 0;
      for (let k = 0; k < columns; k++) sum += x[m * columns + k]! * weights[n * columns + k]!;
      return sum;
    });
    const part = precision.type === 'float32' ? 'in a layer' : `in a layer, ${precision.type}`;
    return withinRelative(line, part, y, expected, limitIn[precision.type]);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}
