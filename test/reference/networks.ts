import path from 'node:path';
import type { AdapterBases } from '../../server/checkpoints/lora/adapter.ts';
import type { AdaptedNetwork } from '../../server/checkpoints/lora/adapter-keys.ts';
import { WeightsFile } from '../../server/checkpoints/weights-file.ts';
import type { Model } from '../../server/graph/encode.ts';
import { type ComputeDType, float32, type Precision } from '../../server/graph/precision.ts';
import { buildCLIP } from '../../server/models/clip.ts';
import { buildFlux, fluxSizes, rotaryTables, sinusoidalEmbedding } from '../../server/models/flux.ts';
import { buildT5 } from '../../server/models/t5.ts';
import { type AdaptersInUse, adapterStore } from '../../server/runtime/adapters.ts';
import type { Capabilities } from '../../server/runtime/probe.ts';
import { type Arrays, Session } from '../../server/runtime/session.ts';
import { openTransformer } from '../../server/runtime/transformer.ts';
import { openVAE } from '../../server/runtime/vae-tiles.ts';
import { FirstBlockCache } from '../../server/sampling/first-block-cache.ts';
import type { Provider } from '../../shared/protocol/provider.ts';
import type { LineOf } from './lines.ts';
import { type Row, readArrays, withinAbsolute, withinRelative } from './measure.ts';
import { roundedAfterEachNode } from './rounded.ts';

/** What computes the networks, and in what: the transformer may be in 16 bits. */
export interface How extends Omit<Capabilities, 'transformer'> {
  readonly provider: Provider;
  readonly transformer?: Precision;
}

/** Of float32 sums in another order. */
const limit = 1e-4;
/** Of a transformer of a few blocks against float32: each value is rounded some twenty times, to 8 bits or 11. */
const limitIn: Readonly<Record<ComputeDType, number>> = { float32: limit, bfloat16: 2e-2, float16: 3e-3 };

/** On the CPU a graph in 16 bits is rounded to them after each node. */
export async function compute(
  provider: Provider,
  model: Model,
  inputs: Arrays,
  output: string,
  type: ComputeDType = 'float32',
): Promise<Float32Array> {
  const isRounded = provider === 'cpu' && type !== 'float32';
  const computed = isRounded ? roundedAfterEachNode(model, type) : model;
  const session = await Session.open(computed, { provider, copiesWeights: false });
  const results = await session.run(inputs, output);
  await session.release();
  return results[output]!;
}

const openWeights = (folder: string, line: { readonly weights: string }) =>
  WeightsFile.open(path.join(folder, line.weights));

/** A line's adapters over one network, as a graph takes them. */
function adaptersOf(
  base: AdapterBases,
  folder: string,
  { adapters }: { readonly adapters: Readonly<Record<string, number>> },
): Promise<AdaptersInUse> {
  const store = adapterStore(base, async (name) => path.join(folder, name));
  const [network] = Object.keys(base) as [AdaptedNetwork];
  return store.use(
    Object.entries(adapters).map(([name, scale]) => ({ name, scale })),
    network,
  );
}

export async function compareFlux(
  folder: string,
  line: LineOf<'flux'>,
  { provider, attention, transformer = { ...float32, attention } }: How,
): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const file = await openWeights(folder, line);
  const sizes = fluxSizes(file);
  const [rows = 0, columns = 0] = array.floats('grid');
  const [textTokens = 0] = array.shape('text');
  const { opened: adapters, inputs } = await adaptersOf({ transformer: file }, folder, line);
  const model = buildFlux(file, rows * columns, textTokens, adapters, transformer);
  const velocity = await compute(
    provider,
    model,
    {
      image: padded(array.floats('image'), array.shape('image'), sizes.inChannels),
      text: array.floats('text'),
      pooled: array.floats('vector'),
      timestep: sinusoidalEmbedding(array.floats('sigma')[0]!),
      ...(sizes.hasGuidance && { guidance: sinusoidalEmbedding(array.floats('guidance')[0]!) }),
      ...rotaryTables(sizes.headSize, textTokens, rows, columns),
      ...inputs,
    },
    'velocity',
    transformer.type,
  );
  const part = transformer.type === 'float32' ? '' : transformer.type;
  const isClamped = transformer.type === 'float16' && array.names.includes('clamped');
  const expected = array.floats(isClamped ? 'clamped' : line.output);
  return [withinRelative(line, part, velocity, expected, limitIn[transformer.type])];
}

/** Steps one after the other, of which the cache spares some: the same ones, with the same velocities. */
export async function compareCache(
  folder: string,
  line: LineOf<'cache'>,
  { provider, attention, transformer = { ...float32, attention } }: How,
): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const file = await openWeights(folder, line);
  const network = openTransformer({
    file,
    precision: transformer,
    session: { provider, copiesWeights: false },
    capacity: 1,
    adapters: adapterStore({ transformer: file }, () => Promise.reject(new Error('there is none'))),
  });
  const [rows = 0, columns = 0] = array.floats('grid');
  const [image, noise, sigmas] = [array.floats('image'), array.floats('noise'), array.floats('sigmas')];
  const conditioning = {
    text: array.floats('text'),
    textTokens: array.shape('text')[0]!,
    pooled: array.floats('vector'),
  };
  const [guidance = 0] = array.floats('guidance');
  const cache = new FirstBlockCache(array.floats('threshold')[0]!);
  const velocities: number[] = [];
  const computed: number[] = [];
  for (const sigma of sigmas) {
    const input = image.map((value, i) => (1 - sigma) * value + sigma * noise[i]!);
    const before = cache.reused;
    velocities.push(
      ...(await network.velocity({ input, rows, columns, conditioning, sigma, guidance, cache })),
    );
    computed.push(1 - (cache.reused - before));
  }
  await network.release();
  return [
    withinAbsolute(line, 'steps computed whole', computed, [...array.integers('computed')], 0),
    withinRelative(line, 'velocities', Float32Array.from(velocities), array.floats('velocities'), limit),
  ];
}

/** Rows with more columns than their weights have; what stands in those must not matter. */
function padded(
  image: Float32Array,
  [rows = 0, given = 0]: readonly number[],
  columns: number,
): Float32Array {
  const wide = new Float32Array(rows * columns).fill(7);
  for (let i = 0; i < rows; i++) wide.set(image.subarray(i * given, (i + 1) * given), i * columns);
  return wide;
}

export async function compareT5(
  folder: string,
  line: LineOf<'t5'>,
  { provider, attention }: How,
): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const tokens = asTokens(array.integers('tokens'));
  const file = await openWeights(folder, line);
  const { opened, inputs } = await adaptersOf({ t5: file }, folder, line);
  const model = buildT5(file, tokens.length, attention, opened);
  const text = await compute(provider, model, { tokens, ...inputs }, 'text');
  return [withinRelative(line, '', text, array.floats('text'), limit)];
}

export async function compareCLIP(
  folder: string,
  line: LineOf<'clip'>,
  { provider, attention }: How,
): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const tokens = asTokens(array.integers('tokens'));
  const file = await openWeights(folder, line);
  const { opened, inputs } = await adaptersOf({ clip: file }, folder, line);
  const model = buildCLIP(file, tokens.length, attention, opened);
  const end = asTokens(array.integers('end'));
  const vector = await compute(provider, model, { tokens, end, ...inputs }, 'pooled');
  return [withinRelative(line, '', vector, array.floats('vector'), limit)];
}

/** A tile of 5 latent pixels keeps one in its middle: the smallest there is. */
const tileSide = 5;

/** Whole, and in tiles so small that every picture has many. */
export async function compareAutoencoder(
  folder: string,
  line: LineOf<'autoencoder'>,
  { provider, attention }: How,
): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const file = await openWeights(folder, line);
  const [latent, decoded] = [array.floats('latent'), array.floats('decoded')];
  const [, height = 0, width = 0] = array.shape('image');
  const [channels = 0, rows = 0, columns = 0] = array.shape('latent');
  const rowsOfTable: Row[] = [];
  for (const [how, side] of [
    ['', undefined],
    [' in tiles', tileSide],
  ] as const) {
    const vae = openVAE(file, 1, { provider, attention, copiesWeights: false }, side);
    const encoding = await vae.encode({ data: array.floats('image'), width, height });
    const decoding = await vae.decode({ data: latent, channels, width: columns, height: rows });
    await vae.release();
    rowsOfTable.push(
      withinRelative(line, `encode${how}`, encoding.data, latent, limit),
      withinRelative(line, `decode${how}`, decoding.data, decoded, limit),
    );
  }
  return rowsOfTable;
}

function asTokens(values: Int32Array): BigInt64Array {
  return BigInt64Array.from(values, BigInt);
}
