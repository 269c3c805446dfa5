import { Graph } from '../graph/graph.ts';
import { type AttentionForm, type ComputeDType, float32, type Precision } from '../graph/precision.ts';
import { mapTuple } from '../graph/value.ts';
import type { Provider } from './provider.ts';
import { type Arrays, Session } from './session.ts';

/** More than the 32 tokens from which providers use another kernel. */
const tokens = 80;
/** Long sequences use different kernels; not a multiple of their block size. */
const manyTokens = 1100;
const heads = 2;
/** Heads of 128, as in FLUX: kernels are specific to a size. */
const width = 256;

/**
 * Relative to the CPU's float32. TensorFloat-32 stays below the first; in 16 bits the output is rounded, and
 * once on the way.
 */
const attentionTolerance: Readonly<Record<ComputeDType, number>> = {
  float32: 2e-3,
  bfloat16: 6e-3,
  float16: 2e-3,
};
/** For a block: about ten roundings in succession. */
const blockTolerance: Readonly<Record<ComputeDType, number>> = {
  float32: 4e-3,
  bfloat16: 2e-2,
  float16: 4e-3,
};

/**
 * The dtypes the transformer may compute in, best first. FLUX was trained in bfloat16 and exceeds float16's
 * range in places; DirectML and WebGPU have no bfloat16. Text encoders and VAE always compute in float32: T5
 * also exceeds float16, and ONNX Runtime has no bfloat16 kernels for what the VAE needs.
 */
const halfTypes: Readonly<Record<Provider, readonly ComputeDType[]>> = {
  cuda: ['bfloat16', 'float16'],
  dml: ['float16'],
  webgpu: ['float16'],
  cpu: [],
};

/** What a provider computes correctly. */
export interface Capabilities {
  /** For text encoders and VAE, in float32. */
  readonly attention: AttentionForm;
  readonly transformer: Precision;
}

/**
 * Probes a provider for what the networks need.
 * @throws what ONNX Runtime throws if the provider's library or device is missing, or the device has no
 * float16; the reason may only be on stderr
 */
export async function probe(provider: Provider): Promise<Capabilities> {
  await checkFloat16(provider);
  return capabilitiesOf(provider);
}

/** The same, but doesn't require that float16 weights can be read. */
export async function capabilitiesOf(provider: Provider): Promise<Capabilities> {
  const plain = await firstRight(provider, ['float32']);
  if (!plain) throw new Error('It computes attention wrongly');
  return {
    attention: plain.attention,
    transformer: (await firstRight(provider, halfTypes[provider])) ?? plain,
  };
}

/** Weights are stored in float16 even if everything computes in float32. */
async function checkFloat16(provider: Provider): Promise<void> {
  const graph = Graph.create('float16');
  const x = graph.input('x', 'float32', [tokens]);
  graph.output('half', graph.cast(graph.cast(x, 'float16'), 'float32'));
  const given = waves([tokens], 0);
  const { half } = await runOnce(graph, provider, { x: given }, 'half');
  if (relativeError(half, given) > 1e-3) throw new Error('It computes float16 wrongly');
}

/**
 * The first dtype and attention whose results match the CPU's. ONNX Runtime 1.29's WebGPU is off by a few
 * percent from 32 tokens on if a subgroup has few lanes, and was on other GPUs before (microsoft/onnxruntime
 * pull request 28520); CUDA has no bfloat16 products below compute capability 8.0.
 */
async function firstRight(
  provider: Provider,
  types: readonly ComputeDType[],
): Promise<Precision | undefined> {
  for (const type of types) {
    for (const attention of ['fused', 'composed'] as const) {
      if (await isRight(provider, { type, attention })) return { type, attention };
    }
  }
  return undefined;
}

async function isRight(provider: Provider, precision: Precision): Promise<boolean> {
  const { type } = precision;
  try {
    for (const length of [tokens, manyTokens]) {
      if ((await error(attentionSample(length), provider, precision)) >= attentionTolerance[type])
        return false;
    }
    return (await error(blockSample, provider, precision)) < blockTolerance[type];
  } catch (cause) {
    // A failure in float32 is the provider's own, and gives the reason.
    if (type === 'float32') throw cause;
    return false;
  }
}

/** A computation that probes a provider; all inputs have the given shapes. */
interface Sample {
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  build(graph: Graph): void;
}

const attentionSample = (length: number): Sample => ({
  inputs: { q: [1, length, width], k: [1, length, width], v: [1, length, width] },
  build(graph) {
    const [q, k, v] = mapTuple(['q', 'k', 'v'], (name) => graph.given(name, [1, length, width]));
    graph.output('y', graph.cast(graph.attention(q, k, v, { heads }), 'float32'));
  },
});

/** Every kind of node in the transformer's blocks except attention. */
const blockInputs = {
  x: [tokens, width],
  pooled: [1, width],
  into: [2 * width, width],
  out: [width, 2 * width],
  bias: [2 * width],
  scale: [width],
  headScale: [width / heads],
  cosine: [tokens, width / heads / 2],
  sine: [tokens, width / heads / 2],
};

const blockSample: Sample = {
  inputs: blockInputs,
  build(graph) {
    const given = (name: keyof typeof blockInputs) => graph.given(name, blockInputs[name]);
    const [x, into, bias] = [given('x'), given('into'), given('bias')];
    const modulation = graph.silu(graph.linear(given('pooled'), into, bias));
    const [shift, gate] = graph.split(modulation, 1, [width, width]);
    const input = graph.layerNorm(x, given('scale'), graph.reshape(shift, [width]), 1e-6);
    const perHead = graph.reshape(input, [tokens, heads, width / heads]);
    const normal = graph.reshape(graph.rmsNorm(perHead, given('headScale'), 1e-6), [1, tokens, width]);
    const turned = graph.reshape(graph.rotary(normal, given('cosine'), given('sine'), heads), [
      tokens,
      width,
    ]);
    const hidden = graph.geluTanh(graph.linear(turned, into, undefined), bias);
    const y = graph.plus(x, graph.times(gate, graph.linear(hidden, given('out'), undefined)));
    const half = graph.rows(graph.concat(0, [x, y]), tokens, tokens);
    graph.output('y', graph.cast(graph.withinFloat16(half), 'float32'));
  },
};

/** The error relative to the CPU in float32. */
async function error(sample: Sample, provider: Provider, precision: Precision): Promise<number> {
  const inputs = Object.fromEntries(
    Object.entries(sample.inputs).map(([name, shape], i) => [name, waves(shape, i)]),
  );
  const outputOf = async (on: Provider, how: Precision) => {
    const graph = Graph.create('sample', how);
    sample.build(graph);
    return (await runOnce(graph, on, inputs, 'y')).y;
  };
  return relativeError(await outputOf(provider, precision), await outputOf('cpu', float32));
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

/** Pseudo-random numbers, the same everywhere and exact in 16 bits: multiples of 1/128 up to a half. */
function waves(shape: readonly number[], phase: number): Float32Array {
  const length = shape.reduce((product, size) => product * size, 1);
  return Float32Array.from(
    { length },
    (_, i) => Math.round(64 * Math.sin(i * 12.9898 + (i % 7) * 78.233 + phase * 3.3)) / 128,
  );
}

function relativeError(ours: Float32Array, expected: Float32Array): number {
  const squares = ours.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0);
  return Math.sqrt(squares / expected.reduce((sum, value) => sum + value ** 2, 0));
}
