import { type AttentionForm, Graph } from '../graph/graph.ts';
import { type Arrays, Session } from '../graph/session.ts';
import type { Provider } from './provider.ts';

/** More than the 32 tokens from which providers take another kernel. */
const tokens = 80;
const heads = 2;
const width = 128;
/** TensorFloat-32 and half precision stay below it. */
const tolerance = 2e-3;

/**
 * Tries a provider on what all networks need.
 * @returns the form of attention that it computes rightly
 * @throws what ONNX Runtime throws where the provider's library or its device is missing, or the device has no float16; the
 * reason may be on stderr only
 */
export async function probe(provider: Provider): Promise<AttentionForm> {
  // Weights are stored in it, also where all is computed in float32.
  const graph = Graph.create('float16');
  const x = graph.input('x', 'float32', [tokens]);
  graph.output('half', graph.cast(graph.cast(x, 'float16'), 'float32'));
  const given = Float32Array.from({ length: tokens }, (_, i) => wave(i, 0));
  const { half } = await runOnce(graph, provider, { x: given }, 'half');
  if (relativeError(half, given) > 1e-3) throw new Error('It computes float16 wrongly');
  return attentionForm(provider);
}

/**
 * Computes an attention on a provider and compares it with the CPU's. ONNX Runtime 1.29's WebGPU is wrong by some percent
 * from 32 tokens on where a subgroup has few lanes, and was on others before (microsoft/onnxruntime pull request 28520).
 * @throws if neither form is right
 */
export async function attentionForm(provider: Provider): Promise<AttentionForm> {
  const expected = await attended('cpu', 'fused');
  for (const form of ['fused', 'composed'] as const) {
    if (relativeError(await attended(provider, form), expected) < tolerance) return form;
  }
  throw new Error('It computes attention wrongly');
}

async function attended(provider: Provider, form: AttentionForm): Promise<Float32Array> {
  const graph = Graph.create('attention', form);
  const names = ['q', 'k', 'v'];
  const [q, k, v] = names.map((name) => graph.input(name, 'float32', [1, tokens, width]));
  graph.output('attended', graph.attention(q!, k!, v!, { heads }));
  const inputs = names.map((name, n) => [
    name,
    Float32Array.from({ length: tokens * width }, (_, i) => wave(i, n)),
  ]);
  return (await runOnce(graph, provider, Object.fromEntries(inputs), 'attended')).attended;
}

async function runOnce<Output extends string>(
  graph: Graph,
  provider: Provider,
  inputs: Arrays,
  output: Output,
): Promise<Record<Output, Float32Array>> {
  const session = await Session.open(graph.finish(), { provider, copiesWeights: true });
  try {
    return await session.run(inputs, output);
  } finally {
    await session.release();
  }
}

/** Numbers that look random and are the same everywhere. */
function wave(i: number, phase: number): number {
  return 0.5 * Math.sin(i * 12.9898 + (i % 7) * 78.233 + phase * 3.3);
}

function relativeError(ours: Float32Array, expected: Float32Array): number {
  const squares = ours.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0);
  return Math.sqrt(squares / expected.reduce((sum, value) => sum + value ** 2, 0));
}
