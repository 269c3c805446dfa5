import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Adapter, openAdapter } from '../../../server/checkpoints/lora/adapter.ts';
import type { WeightChange } from '../../../server/checkpoints/lora/change.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { Graph } from '../../../server/graph/graph.ts';
import { Layers } from '../../../server/nn/layers.ts';
import { quantizeFile } from '../../../server/quantize/quantize.ts';
import { withGains } from '../../../server/runtime/dora.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import { Session } from '../../../server/runtime/session.ts';
import { randn } from '../../../server/sampling/noise.ts';
import { bytesOf, type DType, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { relativeError, tinyModel } from './arrays.ts';
import { copyOfTiny, floats } from './changed-model.ts';

/** Cases people have run into; the expected results come from the issues and code of the projects named. */

let folder = '';
let bases: Record<'transformer' | 't5' | 'clip', WeightsFile>;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-cases-'));
  const at = (name: string) => WeightsFile.open(path.join(tinyModel.folder, `${name}.safetensors`));
  bases = { transformer: await at('transformer'), t5: await at('t5'), clip: await at('clip') };
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
async function open(
  tensors: Record<string, Tensor>,
  metadata: Record<string, string> = {},
): Promise<Adapter> {
  const file = path.join(folder, `adapter-${count++}.safetensors`);
  await writeFile(file, encodeContainer({ metadata, tensors: new Map(Object.entries(tensors)) }));
  return openAdapter('a', file, bases);
}
const refusal = (tensors: Record<string, Tensor>, metadata = {}) =>
  open(tensors, metadata).then(
    () => 'no error',
    ({ code, detail, remedy }: { code: string; detail: string; remedy: string }) =>
      `${code}: ${detail} ${remedy}`,
  );

const random = (...shape: number[]) =>
  floats(
    randn(
      shape[0]!,
      Math.max(
        16,
        shape.reduce((a, b) => a * b, 1),
      ),
    ).subarray(
      0,
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
  );
const layer = 'single_blocks.0.linear2';
const [rows, columns] = [64, 320];
const pair = { [`${layer}.lora_A.weight`]: random(2, columns), [`${layer}.lora_B.weight`]: random(rows, 2) };
const factorOf = (adapter: Adapter, name = `${layer}.weight`) =>
  (adapter.changes.transformer.get(name)?.[0] as WeightChange | undefined)?.factor;

describe('numbers of every type', () => {
  const alphas: readonly (readonly [DType, Uint8Array])[] = [
    ['F64', bytesOf(Float64Array.of(3))],
    ['F32', bytesOf(Float32Array.of(3))],
    ['F16', bytesOf(Uint16Array.of(0x4200))],
    ['BF16', bytesOf(Uint16Array.of(0x4040))],
    ['F8_E4M3', Uint8Array.of(0x44)],
    ['F8_E5M2', Uint8Array.of(0x42)],
    ['I64', bytesOf(BigInt64Array.of(3n))],
    ['I32', bytesOf(Int32Array.of(3))],
    ['U8', Uint8Array.of(3)],
  ];
  it.each(alphas)('an alpha as %s', async (dtype, data) => {
    expect(factorOf(await open({ ...pair, [`${layer}.alpha`]: { dtype, shape: [], data } }))).toBe(1.5);
  });

  const x = randn(5, 3 * columns);
  /** What an adapter adds to a layer. */
  async function added(file: WeightsFile, adapter: Adapter): Promise<Float32Array> {
    const graph = Graph.create('layer');
    const changes = [{ changes: adapter.changes.transformer, scale: graph.input('scale', 'float32', [1]) }];
    const input = graph.input('x', 'float32', [3, columns]);
    graph.output('y', new Layers(graph, file, changes).linear(layer, input));
    const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: true });
    const at = async (scale: number) => (await session.run({ x, scale: Float32Array.of(scale) }, 'y')).y;
    const [with1, with0] = [await at(1), await at(0)];
    await session.release();
    return with1.map((value, i) => value - with0[i]!);
  }

  // Numbers exact in every type.
  const small = (...shape: number[]) =>
    Array.from({ length: shape[0]! * shape[1]! }, (_, i) => ((i * 7) % 3) - 1);
  const as: Readonly<Record<string, (values: readonly number[]) => Uint8Array>> = {
    F64: (values) => bytesOf(Float64Array.from(values)),
    BF16: (values) =>
      bytesOf(Uint16Array.from(values, (value) => new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16)),
    F8_E4M3: (values) => Uint8Array.from(values, (value) => ({ '-1': 0xb8, 0: 0, 1: 0x38 })[String(value)]!),
    F8_E5M2: (values) => Uint8Array.from(values, (value) => ({ '-1': 0xbc, 0: 0, 1: 0x3c })[String(value)]!),
    I8: (values) => bytesOf(Int8Array.from(values)),
    I32: (values) => bytesOf(Int32Array.from(values)),
    I64: (values) => bytesOf(BigInt64Array.from(values, BigInt)),
  };
  it.each(Object.keys(as))('a pair as %s', async (dtype) => {
    const tensors = (
      make: (values: readonly number[]) => Uint8Array,
      type: DType,
    ): Record<string, Tensor> => ({
      [`${layer}.lora_A.weight`]: { dtype: type, shape: [2, columns], data: make(small(2, columns)) },
      [`${layer}.lora_B.weight`]: { dtype: type, shape: [rows, 2], data: make(small(rows, 2)) },
    });
    const expected = await open(tensors((values) => bytesOf(Float32Array.from(values)), 'F32'));
    const adapter = await open(tensors(as[dtype]!, dtype as DType));
    const wanted = await added(bases.transformer, expected);
    expect(Math.hypot(...wanted)).toBeGreaterThan(1);
    expect(relativeError(await added(bases.transformer, adapter), wanted)).toBeLessThan(1e-6);
  });

  it.each([8, 4] as const)('DoRA takes the norms of the dequantized %i-bit layer', async (bits) => {
    const source = path.join(folder, `source-${bits}.safetensors`);
    const weight = random(64, columns);
    const whole = { [`${layer}.weight`]: weight, [`${layer}.bias`]: random(64) };
    await writeFile(source, encodeContainer({ metadata: {}, tensors: new Map(Object.entries(whole)) }));
    const target = path.join(folder, `quantized-${bits}.safetensors`);
    await quantizeFile(source, target, bits);
    const base = await WeightsFile.open(target);
    const dora = path.join(folder, `dora-${bits}.safetensors`);
    const magnitude = floats(
      randn(9, 64).map((value) => 20 + value),
      [64],
    );
    const tensors = new Map(Object.entries({ ...pair, [`${layer}.lora_magnitude_vector`]: magnitude }));
    await writeFile(dora, encodeContainer({ metadata: {}, tensors }));
    const adapter = await withGains(await openAdapter('a', dora, { transformer: base }), {
      transformer: base,
    });
    const [change] = adapter.changes.transformer.get(`${layer}.weight`) as WeightChange[];
    // The layer is linear, so its rows come out of the identity; with the adapter they have the norms that
    // DoRA wants.
    const graph = Graph.create('rows');
    const scaled = [{ changes: adapter.changes.transformer, scale: graph.input('scale', 'float32', [1]) }];
    const input = graph.input('x', 'float32', [columns, columns]);
    graph.output('y', new Layers(graph, base, scaled).linear(layer, input));
    const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: true });
    const identity = Float32Array.from({ length: columns ** 2 }, (_, i) => (i % (columns + 1) === 0 ? 1 : 0));
    const { y } = await session.run({ x: identity, scale: Float32Array.of(1) }, 'y');
    const bias = await session.run({ x: new Float32Array(columns ** 2), scale: Float32Array.of(1) }, 'y');
    await session.release();
    const norms = Float32Array.from({ length: 64 }, (_, row) =>
      Math.hypot(...Array.from({ length: columns }, (_, i) => y[i * 64 + row]! - bias.y[row]!)),
    );
    expect(change!.gain).toHaveLength(64);
    expect(relativeError(norms, change!.magnitude!.values)).toBeLessThan(0.01);
  });
});

describe('PEFT’s configuration in the metadata', () => {
  const config = (value: object) => ({ lora_adapter_metadata: JSON.stringify(value) });

  it('has regular expressions for the ends of names (peft, get_pattern_key)', async () => {
    const patterns = (alpha_pattern: object | null) =>
      open(pair, config({ 'transformer.lora_alpha': 2, 'transformer.alpha_pattern': alpha_pattern }));
    expect(factorOf(await patterns({ 'single_blocks\\.\\d+\\.linear2': 8 }))).toBe(4);
    expect(factorOf(await patterns({ 'linear[12]': 6, linear2: 8 }))).toBe(3);
    expect(factorOf(await patterns({ inear2: 8 }))).toBe(1);
    expect(factorOf(await patterns({ single_blocks: 8 }))).toBe(1);
  });

  it('has null for defaults', async () => {
    const value = {
      'transformer.lora_alpha': 4,
      'transformer.alpha_pattern': null,
      'transformer.use_rslora': null,
    };
    expect(factorOf(await open(pair, config(value)))).toBe(2);
    expect(factorOf(await open(pair, config({ 'transformer.lora_alpha': null })))).toBe(1);
  });

  it('is rejected if a pattern is invalid', async () => {
    expect(await refusal(pair, config({ 'transformer.alpha_pattern': { '(': 2 } }))).toMatch(
      /^adapter-invalid: .*the pattern "\(".*not a regular expression/,
    );
  });
});

describe('an adapter is rejected', () => {
  it('with NaN or infinity in a matrix or in alpha, before anything is computed', async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const broken = floats(new Float32Array(rows * 2).fill(1).with(7, value), [rows, 2]);
      expect(await refusal({ ...pair, [`${layer}.lora_B.weight`]: broken })).toMatch(
        /^adapter-invalid: .*"single_blocks\.0\.linear2\.lora_B\.weight".*not finite/,
      );
      expect(await refusal({ ...pair, [`${layer}.alpha`]: floats([value], []) })).toMatch(
        /alpha".*not finite/,
      );
    }
  });

  it('with a second pair for one layer, under whatever names', async () => {
    const twice = Object.fromEntries(
      Object.entries(pair).map(([key, tensor]) => [`transformer.${key}`, tensor]),
    );
    expect(await refusal({ ...pair, ...twice })).toMatch(
      /^adapter-invalid: .*"single_blocks.*lora_A\.weight" and "transformer\.single_blocks.*for one layer/,
    );
    const inOtherLayout = {
      'single_transformer_blocks.0.proj_out.lora_A.weight': random(2, columns),
      'single_transformer_blocks.0.proj_out.lora_B.weight': random(rows, 2),
    };
    expect(await refusal({ ...pair, ...inOtherLayout })).toMatch(
      /changes rows of "single_blocks\.0\.linear2\.weight" twice/,
    );
  });

  it('without tensors, and with the rank 0', async () => {
    expect(await refusal({})).toMatch(/^adapter-invalid: .*has no tensors/);
    const empty = {
      [`${layer}.lora_A.weight`]: floats([], [0, columns]),
      [`${layer}.lora_B.weight`]: floats([], [rows, 0]),
    };
    expect(await refusal(empty)).toMatch(/^adapter-invalid: .*lora_A\.weight" with the rank 0/);
  });

  it('with ten keys at most, and a remedy that fits', async () => {
    const keys = Array.from(
      { length: 200 },
      (_, i) => `lora_unet_down_blocks_${i}_attentions_0_proj_in.lora_down.weight`,
    );
    const answer = await refusal(Object.fromEntries(keys.map((key) => [key, random(2, 4)])));
    expect(answer).toMatch(/down_blocks_9_.* and 190 more\. It is for Stable Diffusion/);
    expect(answer).not.toContain('down_blocks_10_');
    expect(await refusal({ ...pair, [`${layer}.oft_diag`]: random(2, 2) })).toMatch(
      /OFT adapter, which is not supported/,
    );
  });

  it('with a LoKr or a LoHa that does not fit or is not whole', async () => {
    const key = 'lycoris_single_blocks_0_linear2';
    expect(await refusal({ [`${key}.lokr_w1`]: random(4, 4), [`${key}.lokr_w2`]: random(4, 4) })).toMatch(
      /a LoKr of \[16, 16\] for "single_blocks\.0\.linear2\.weight", but \[64, 320\] fits/,
    );
    expect(await refusal({ [`${key}.lokr_w1`]: random(4, 4) })).toMatch(/no whole "lokr_w2"/);
    expect(
      await refusal({ [`${key}.hada_w1_a`]: random(rows, 2), [`${key}.hada_w1_b`]: random(2, columns) }),
    ).toMatch(/not both matrices/);
  });
});

describe('pairs for text encoders', () => {
  const clip = (inputs: number) => ({
    'lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight': random(2, inputs),
    'lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight': random(inputs, 2),
    'lora_te1_text_model_encoder_layers_0_self_attn_q_proj.alpha': floats([2], []),
  });

  it('that fit no layer are ignored, with a one-line note', async () => {
    const adapter = await open({ ...pair, ...clip(8) });
    expect([...adapter.changes.clip.keys()]).toEqual([]);
    expect(adapter.notes).toEqual([
      'The adapter “a” has changes that were left out: 1 for CLIP layers of another size.',
    ]);
    const many = Array.from({ length: 11 }, (_, i) => [
      [`lora_te2_text_model_encoder_layers_${i}_mlp_fc1.lora_down.weight`, random(2, 8)],
      [`lora_te2_text_model_encoder_layers_${i}_mlp_fc1.lora_up.weight`, random(8, 2)],
    ]);
    const other = await open({ ...pair, ...Object.fromEntries(many.flat()) });
    expect(other.notes.join()).toMatch(/: 11 for text encoder layers that this model does not have\.$/);
    expect(await refusal(clip(8))).toMatch(/^adapter-invalid: .*changes nothing of this model/);
  });

  it('change what the text encoder gives, by the adapter’s strength', async () => {
    const tiny = await copyOfTiny();
    const place = path.join(tiny.model.folder, 'adapters', 'text.safetensors');
    await mkdir(path.dirname(place));
    await writeFile(place, encodeContainer({ metadata: {}, tensors: new Map(Object.entries(clip(128))) }));
    const networks = await loadNetworks(tiny.model, { provider: 'cpu' });
    const at = async (scale?: number) =>
      (await networks.encodePrompt('a red circle', scale === undefined ? [] : [{ name: 'text', scale }]))
        .pooled;
    const [without, none, once] = [await at(), await at(0), await at(1)];
    expect(relativeError(none, without)).toBeLessThan(1e-6);
    expect(relativeError(once, without)).toBeGreaterThan(0.001);
    expect(relativeError(await at(0.5), once)).toBeGreaterThan(0.001);
    await networks.release();
    await tiny.remove();
  });
});

it('a pair of FLUX.1-dev’s 64 columns changes the first columns of an editing model', async () => {
  const adapter = await open({
    'lora_unet_img_in.lora_down.weight': random(2, 64),
    'lora_unet_img_in.lora_up.weight': random(rows, 2),
  });
  expect(adapter.changes.transformer.get('img_in.weight')).toMatchObject([{ columns: 64 }]);
  expect(
    await refusal({ 'img_in.lora_A.weight': random(2, 128), 'img_in.lora_B.weight': random(rows, 2) }),
  ).toMatch(/\[2, 128\], but \[2, 384\] fits "img_in\.weight"/);
});
