import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fluxTensors, writeWeights } from '../../../bench/weights.ts';
import { type Adapter, openAdapter } from '../../../server/checkpoints/lora/adapter.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { buildFlux, fluxSizes, rotaryTables, sinusoidalEmbedding } from '../../../server/models/flux.ts';
import { adapterInput } from '../../../server/nn/layers.ts';
import { quantizeFile } from '../../../server/quantize/quantize.ts';
import { Session } from '../../../server/runtime/session.ts';
import { randn } from '../../../server/sampling/noise.ts';
import {
  bytesOf,
  type Container,
  decodeContainer,
  encodeContainer,
  type Tensor,
} from '../../../shared/safetensors.ts';
import { arraysFolder, readArrays, relativeError } from './arrays.ts';

/** Written by test/reference/adapters.py: one transformer, and adapters for it in every format. */
const folder = path.join(arraysFolder, 'adapters');
const array = readArrays('adapters/expected.safetensors');
const shards = path.join(folder, 'shards', 'diffusion_pytorch_model.safetensors');

/** Tolerance for float32 sums in another order. */
const float32Error = 1e-4;
const styles = { diffusers: 0.7, kohya: 0.9, bfl: 0.6, swift: -0.8 } as const;
type Style = keyof typeof styles;

let work = '';
beforeAll(async () => {
  work = await mkdtemp(path.join(os.tmpdir(), 'acepp-adapters-'));
});
afterAll(() => rm(work, { recursive: true }));

const read = async (file: string) => decodeContainer(await readFile(file));
async function write(name: string, container: Container): Promise<string> {
  await writeFile(path.join(work, name), encodeContainer(container));
  return path.join(work, name);
}

/** All shards in one file. */
async function single(metadata: Record<string, string> = {}): Promise<string> {
  const index = JSON.parse(await readFile(`${shards}.index.json`, 'utf8')) as {
    weight_map: Record<string, string>;
  };
  const tensors = new Map<string, Tensor>();
  for (const shard of new Set(Object.values(index.weight_map))) {
    for (const [name, tensor] of (await read(path.join(folder, 'shards', shard))).tensors) {
      tensors.set(name, tensor);
    }
  }
  return write('single.safetensors', { metadata, tensors });
}

/** The same weights as black-forest-labs keeps them: q, k and v joined, shift before scale. */
async function joined(): Promise<string> {
  const file = await WeightsFile.open(await single());
  const bytes = await readFile(file.file);
  const tensors = new Map<string, Tensor>();
  for (const name of file.names) {
    const parts = file.parts(name);
    const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
    const data = parts.map((part) => bytes.subarray(part.data.offset, part.data.offset + part.data.length));
    tensors.set(name, { dtype: 'BF16', shape: parts[0]!.shape.with(0, rows), data: Buffer.concat(data) });
  }
  return write('joined.safetensors', { metadata: { input_columns: '384' }, tensors });
}

class Transformer {
  private constructor(
    private readonly session: Session,
    private readonly inputs: Record<string, Float32Array>,
  ) {}

  static async open(file: WeightsFile, adapters: readonly Adapter[] = []): Promise<Transformer> {
    const sizes = fluxSizes(file);
    const [rows = 0, columns = 0] = array('grid').data;
    const textTokens = array('text').shape[0]!;
    const image = array('image');
    const [tokens = 0, given = 0] = image.shape;
    // Anything beyond the weight's columns must not matter.
    const padded = new Float32Array(tokens * sizes.inChannels).fill(7);
    for (let i = 0; i < tokens; i++) {
      padded.set(image.data.subarray(i * given, (i + 1) * given), i * sizes.inChannels);
    }
    const model = buildFlux(file, tokens, textTokens, adapters);
    return new Transformer(await Session.open(model, { provider: 'cpu', copiesWeights: false }), {
      image: padded,
      text: array('text').data,
      pooled: array('vector').data,
      timestep: sinusoidalEmbedding(array('sigma').data[0]!),
      ...rotaryTables(sizes.headSize, textTokens, rows, columns),
    });
  }

  async velocity(scales: Readonly<Record<string, number>> = {}): Promise<Float32Array> {
    const adapters = Object.entries(scales).map(([id, scale]) => [adapterInput(id), Float32Array.of(scale)]);
    const { velocity } = await this.session.run(
      { ...this.inputs, ...Object.fromEntries(adapters) },
      'velocity',
    );
    return velocity;
  }

  release(): Promise<void> {
    return this.session.release();
  }
}

async function errorOf(file: string, expected: string): Promise<number> {
  const transformer = await Transformer.open(await WeightsFile.open(file));
  const error = relativeError(await transformer.velocity(), array(expected).data);
  await transformer.release();
  return error;
}

describe('diffusers’ layout computes what diffusers computes', () => {
  it('in shards, without guidance, with 64 columns where 384 are given', async () => {
    const file = await WeightsFile.open(shards);
    expect(file.file).toBe(`${shards}.index.json`);
    expect(fluxSizes(file)).toMatchObject({ inChannels: 384, hasGuidance: false });
    expect(await errorOf(shards, 'base')).toBeLessThan(float32Error);
    expect(await errorOf(`${shards}.index.json`, 'base')).toBeLessThan(float32Error);
  });

  it('in one file, with 64 columns where 448 are given', async () => {
    const file = await single({ input_columns: '448' });
    expect(fluxSizes(await WeightsFile.open(file)).inChannels).toBe(448);
    expect(await errorOf(file, 'base')).toBeLessThan(float32Error);
  });

  it('and its tensors joined are black-forest-labs’', async () => {
    expect(await errorOf(await joined(), 'base')).toBeLessThan(float32Error);
  });

  it('in float8, with one scale, a scale for each row, and none', async () => {
    const { tensors } = await read(path.join(folder, 'float8.safetensors'));
    const scales = [...tensors].filter(([name]) => /scale/.test(name)).map(([, { shape }]) => shape.length);
    expect(new Set(scales)).toEqual(new Set([0, 2]));
    expect(await errorOf(path.join(folder, 'float8.safetensors'), 'float8')).toBeLessThan(float32Error);
    // The reference uses the rounded weights, not the originals.
    expect(relativeError(array('float8').data, array('base').data)).toBeGreaterThan(0.005);
  });
});

describe.each([
  ['diffusers’', async () => shards],
  ['black-forest-labs’', joined],
] as const)('adapters over %s layout', (_, base) => {
  let file: WeightsFile;
  let transformer: Transformer | undefined;
  beforeAll(async () => {
    file = await WeightsFile.open(await base());
  });
  afterEach(async () => {
    await transformer?.release();
    transformer = undefined;
  });
  const open = (style: Style) =>
    openAdapter(style, path.join(folder, `${style}.safetensors`), { transformer: file });

  it.each(
    Object.keys(styles) as Style[],
  )('%s: as the merged weights, and at scale 0 as the base', async (style) => {
    transformer = await Transformer.open(file, [await open(style)]);
    const velocity = await transformer.velocity({ [style]: styles[style] });
    expect(relativeError(velocity, array(style).data)).toBeLessThan(float32Error);
    expect(relativeError(array(style).data, array('base').data)).toBeGreaterThan(0.05);
    // The same session: the scale is an input.
    const without = await transformer.velocity({ [style]: 0 });
    expect(relativeError(without, array('base').data)).toBeLessThan(float32Error);
  });

  it('all four at once, each with its scale; leaving one out changes the result', async () => {
    transformer = await Transformer.open(file, await Promise.all((Object.keys(styles) as Style[]).map(open)));
    const velocity = await transformer.velocity(styles);
    expect(relativeError(velocity, array('together').data)).toBeLessThan(float32Error);
    for (const style of Object.keys(styles)) {
      const other = await transformer.velocity({ ...styles, [style]: 0 });
      expect(relativeError(other, array('together').data)).toBeGreaterThan(0.01);
    }
  });

  it('with diffusers’ own configuration in the metadata: lora_alpha over the rank', async () => {
    const { tensors } = await read(path.join(folder, 'diffusers.safetensors'));
    const config = (alpha: object) => ({ lora_adapter_metadata: JSON.stringify(alpha) });
    const velocity = async (metadata: Record<string, string>, scale: number) => {
      const name = await write('configured.safetensors', { metadata, tensors });
      const opened = await Transformer.open(file, [await openAdapter('a', name, { transformer: file })]);
      const result = await opened.velocity({ a: scale });
      await opened.release();
      return result;
    };
    const wanted = array('diffusers').data;
    const half = styles.diffusers / 2;
    const doubled = await velocity(config({ 'transformer.lora_alpha': 4, 'transformer.r': 2 }), half);
    expect(relativeError(doubled, wanted)).toBeLessThan(float32Error);
    const rooted = await velocity(
      config({ 'transformer.lora_alpha': 2, 'transformer.use_rslora': true }),
      styles.diffusers / Math.SQRT2,
    );
    expect(relativeError(rooted, wanted)).toBeLessThan(float32Error);
    const other = await velocity(
      config({ 'transformer.lora_alpha': 2, 'transformer.alpha_pattern': { 'attn.to_q': 8 } }),
      styles.diffusers,
    );
    expect(relativeError(other, wanted)).toBeGreaterThan(0.01);
  });
});

it.each([4, 8] as const)('adapters over a transformer in %i bits change it', async (bits) => {
  const whole = path.join(work, 'whole.safetensors');
  writeWeights(whole, fluxTensors({ width: 128, double: 1, single: 1 }), 'F32', 'random');
  const file = path.join(work, `whole-${bits}bit.safetensors`);
  await quantizeFile(whole, file, bits);
  const base = await WeightsFile.open(file);
  const layer = 'double_blocks.0.img_mlp.0';
  const matrix = (shape: number[]): Tensor => {
    const data = bytesOf(randn(shape[0]!, shape[0]! * shape[1]!));
    return { dtype: 'F32', shape, data };
  };
  const lora = await write('lora.safetensors', {
    metadata: {},
    tensors: new Map([
      [`${layer}.lora_A.weight`, matrix([2, 128])],
      [`${layer}.lora_B.weight`, matrix([512, 2])],
    ]),
  });
  const adapter = await openAdapter('lora', lora, { transformer: base });
  expect([...adapter.changes.transformer.keys()]).toEqual([`${layer}.weight`]);
  const [tokens, textTokens] = [4, 3];
  const model = buildFlux(base, tokens, textTokens, [adapter]);
  const session = await Session.open(model, { provider: 'cpu', copiesWeights: false });
  const inputs: Record<string, Float32Array> = { ...rotaryTables(128, textTokens, 2, 2) };
  for (const { name, shape } of model.inputs) {
    inputs[name] ??= randn(
      1,
      shape.reduce((product, size) => product * size, 1),
    );
  }
  const at = async (scale: number) =>
    (await session.run({ ...inputs, [adapterInput('lora')]: Float32Array.of(scale) }, 'velocity')).velocity;
  expect(relativeError(await at(1), await at(0))).toBeGreaterThan(0.001);
  await session.release();
});

describe('an adapter that does not fit is rejected', () => {
  let base: WeightsFile;
  beforeEach(async () => {
    base = await WeightsFile.open(shards);
  });
  const half = (shape: number[]): Tensor => ({
    dtype: 'F16',
    shape,
    data: new Uint8Array(2 * shape.reduce((product, size) => product * size, 1)),
  });
  const refusal = async (tensors: Record<string, Tensor>, metadata = {}) => {
    const name = await write('wrong.safetensors', { metadata, tensors: new Map(Object.entries(tensors)) });
    return openAdapter('wrong', name, { transformer: base }).then(
      () => 'no error',
      (error: { code: string; detail: string }) => `${error.code}: ${error.detail}`,
    );
  };
  const module = 'single_transformer_blocks.0.proj_out';

  it('with every key that fits nothing, and the file', async () => {
    const message = await refusal({
      [`${module}.lora_magnitude_vector`]: half([32]),
      'lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight': half([2, 32]),
      'transformer.single_transformer_blocks.99.proj_out.lora_A.weight': half([2, 32]),
      [`${module}.lora_A.bias`]: half([2]),
    });
    expect(message).toMatch(/^adapter-invalid: .*wrong\.safetensors/);
    for (const key of ['blocks.99.proj_out.lora_A', 'lora_A.bias']) expect(message).toContain(key);
    // Layers of text encoders that this model lacks are ignored.
    expect(message).not.toContain('lora_te1_');
  });

  it.each<[string, Record<string, Tensor>, RegExp]>([
    ['one matrix of a pair', { [`${module}.lora_A.weight`]: half([2, 160]) }, /proj_out\.lora_A.*both/],
    ['an alpha of nothing', { [`${module}.alpha`]: half([]) }, /proj_out\.alpha.*both/],
    [
      'another width',
      { [`${module}.lora_A.weight`]: half([2, 7]), [`${module}.lora_B.weight`]: half([32, 2]) },
      /lora_A\.weight" as F16 \[2, 7\], but \[2, 160\]/,
    ],
    [
      'two ranks',
      { [`${module}.lora_A.weight`]: half([2, 160]), [`${module}.lora_B.weight`]: half([32, 3]) },
      /lora_B\.weight" as F16 \[32, 3\], but \[32, 2\]/,
    ],
    [
      'a tensor of another shape in place of one',
      { 'single_blocks.0.linear2.bias': half([31]) },
      /\[31\], but \[32\]/,
    ],
  ])('with %s', async (_, tensors, words) => {
    const message = await refusal(tensors);
    expect(message).toMatch(/^adapter-invalid: .*wrong\.safetensors/);
    expect(message).toMatch(words);
  });

  it('with an invalid configuration', async () => {
    const pair = { [`${module}.lora_A.weight`]: half([2, 160]), [`${module}.lora_B.weight`]: half([32, 2]) };
    expect(await refusal(pair, { lora_adapter_metadata: '{"lora_alpha": "four"}' })).toMatch(
      /^adapter-invalid: .*lora_adapter_metadata/,
    );
  });

  it('when it is truncated', async () => {
    const file = path.join(folder, 'kohya.safetensors');
    const cut = path.join(work, 'cut.safetensors');
    await writeFile(cut, (await readFile(file)).subarray(0, -1));
    await expect(openAdapter('cut', cut, { transformer: base })).rejects.toMatchObject({
      code: 'adapter-invalid',
      detail: expect.stringContaining('cut.safetensors'),
    });
    await mkdir(path.join(work, 'copy'));
    await cp(file, path.join(work, 'copy', 'kohya.safetensors'));
    expect(
      (await openAdapter('whole', path.join(work, 'copy', 'kohya.safetensors'), { transformer: base })).id,
    ).toBe('whole');
  });
});
