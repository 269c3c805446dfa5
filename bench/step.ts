/** Times steps of one transformer in this process and sends a `StepReport` to its parent. */

import { WeightsFile } from '../server/checkpoints/weights-file.ts';
import { Graph } from '../server/graph/graph.ts';
import { type ComputeDType, float32, type Precision } from '../server/graph/precision.ts';
import { closedShape } from '../server/graph/value.ts';
import { buildFlux, builtLength, fluxSizes, operationsOf, rotaryTables } from '../server/models/flux.ts';
import { probe } from '../server/runtime/probe.ts';
import { Session } from '../server/runtime/session.ts';
import type { Provider } from '../shared/protocol/provider.ts';
import { elementCount } from '../shared/safetensors.ts';
import { median, stopwatch } from './clock.ts';
import type { FluxShape } from './weights.ts';

export interface Job {
  readonly file: string;
  readonly provider: Provider;
  /** Side of the target square in pixels; references have the same size. */
  readonly side: number;
  readonly references: number;
  readonly steps: number;
}

export interface StepReport {
  readonly shape: FluxShape & {
    readonly headSize: number;
    readonly contextSize: number;
    readonly pooledSize: number;
  };
  /** Tokens of references and target, without the text's. */
  readonly tokens: number;
  readonly textTokens: number;
  /** The median, with warm weights and kernels. */
  readonly secondsPerStep: number;
  /** Multiplications and additions of one step. */
  readonly flops: number;
  /** The dtype: the best that the provider computes correctly. */
  readonly type: ComputeDType;
  /** FLOP per second of a chain of plain matrix products in the same dtype and provider. */
  readonly productRate: number;
  /** Seconds by stage. */
  readonly startUp: Readonly<Record<string, number>>;
}

/** The pipeline's T5 tokens: 512 for FLUX.1, 40 for pocket. */
const textTokensOf = (contextSize: number) => (contextSize === 4096 ? 512 : 40);

async function main({ file, provider, side, references, steps }: Job): Promise<StepReport> {
  const weights = await WeightsFile.open(file);
  const sizes = fluxSizes(weights);
  const { hiddenSize: width, headSize, contextSize, pooledSize } = sizes;
  const count = (list: string) =>
    new Set(weights.names.filter((name) => name.startsWith(list)).map((name) => name.split('.')[1])).size;
  const shape = {
    width,
    double: count('double_blocks.'),
    single: count('single_blocks.'),
    headSize,
    contextSize,
    pooledSize,
  };
  const grid = { rows: side / 16, columns: (1 + references) * (side / 16) };
  const tokens = grid.rows * grid.columns;
  const textTokens = textTokensOf(contextSize);

  const precision = provider === 'cpu' ? float32 : (await probe(provider)).transformer;
  const productRate = await productsPerSecond(provider, width, precision);
  const clock = stopwatch();
  const model = buildFlux(weights, builtLength(precision, tokens), textTokens, [], precision);
  const building = clock();
  const session = await Session.open(model, { provider, copiesWeights: weights.bytes <= 128 * 2 ** 20 });
  const opening = clock();
  const inputs: Record<string, Float32Array> = {
    ...rotaryTables(headSize, textTokens, grid.rows, grid.columns),
  };
  for (const { name, shape: dims } of model.inputs) {
    const count = elementCount(closedShape(dims, tokens));
    inputs[name] ??= Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  }
  clock();
  await session.run(inputs, 'velocity');
  const first = clock();
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    await session.run(inputs, 'velocity');
    times.push(clock());
  }
  await session.release();
  return {
    shape,
    tokens,
    textTokens,
    secondsPerStep: median(times),
    flops: operationsOf(sizes, tokens, textTokens),
    type: precision.type,
    productRate,
    startUp: { building, opening, 'first step': first },
  };
}

/** `x W W W W` with one W [D, D]: only matrix products, and hardly anything to copy. */
async function productsPerSecond(provider: Provider, width: number, precision: Precision): Promise<number> {
  const rows = 4096;
  const chain = 8;
  const graph = Graph.create('products', precision);
  let x = graph.given('x', [rows, width]);
  const w = graph.given('w', [width, width]);
  for (let i = 0; i < chain; i++) x = graph.linear(x, w, undefined);
  graph.output('y', graph.cast(graph.rows(x, 0, 1), 'float32'));
  const session = await Session.open(graph.finish(), { provider, copiesWeights: true });
  const random = (length: number) =>
    Float32Array.from({ length }, () => (Math.random() - 0.5) / Math.sqrt(width / 12));
  const inputs = { x: random(rows * width), w: random(width * width) };
  const times: number[] = [];
  const clock = stopwatch();
  for (let i = 0; i < 4; i++) {
    await session.run(inputs, 'y');
    times.push(clock());
  }
  await session.release();
  return (chain * 2 * rows * width ** 2) / median(times.slice(1));
}

process.send!(await main(JSON.parse(process.argv[2]!) as Job));
process.disconnect();
