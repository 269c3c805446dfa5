import { cp, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findAdapter, findModel, listAdapters, listModels } from '../../../server/catalogue/catalogue.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { Graph } from '../../../server/graph/graph.ts';
import { Layers } from '../../../server/nn/layers.ts';
import { Session } from '../../../server/runtime/session.ts';
import { bytesOf, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { relativeError, tinyModel } from '../models/arrays.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-weights-'));
  vi.stubEnv('ACEPP_HOME', folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function write(tensors: Record<string, Tensor>, metadata = {}): Promise<string> {
  const file = path.join(folder, 'weights.safetensors');
  await writeFile(file, encodeContainer({ metadata, tensors: new Map(Object.entries(tensors)) }));
  return file;
}

const floats = (values: Float32Array, shape: readonly number[]): Tensor => ({
  dtype: 'F32',
  shape,
  data: bytesOf(values),
});

/** Numbers in [-1, 1) that look random. */
const noise = (count: number) =>
  Float32Array.from({ length: count }, (_, i) => ((i * 7919 + 13) % 2003) / 1001.5 - 1);

describe('a weights file', () => {
  it('is described by its header alone', async () => {
    const file = await WeightsFile.open(
      await write({ a: floats(noise(6), [2, 3]) }, { norm_groups: '8', shift: '0' }),
    );
    expect(file.get('a')).toMatchObject({ dtype: 'F32', shape: [2, 3], data: { length: 24 } });
    expect(file.get('a').data.offset + 24).toBe(file.bytes);
    expect(['norm_groups', 'shift', 'scale'].map((key) => file.number(key, 0.5))).toEqual([8, 0, 0.5]);
  });

  it('is rejected by name if truncated, with the tensor', async () => {
    const file = await write({ a: floats(noise(6), [2, 3]) });
    const { bytes } = await WeightsFile.open(file);
    await truncate(file, bytes - 1);
    await expect(WeightsFile.open(file)).rejects.toMatchObject({
      code: 'model-file-invalid',
      detail: expect.stringMatching(/weights\.safetensors: tensor "a"/),
    });
  });

  it('with a header longer than itself is rejected before it is read', async () => {
    const file = path.join(folder, 'huge');
    await writeFile(file, Buffer.of(0, 0, 0, 5, 0, 0, 0, 0));
    await expect(WeightsFile.open(file)).rejects.toMatchObject({ code: 'model-file-invalid' });
    await writeFile(file, 'short');
    await expect(WeightsFile.open(file)).rejects.toMatchObject({ code: 'model-file-invalid' });
  });

  it('is reported as missing if it does not exist', async () => {
    await expect(WeightsFile.open(path.join(folder, 'none'))).rejects.toMatchObject({
      code: 'model-missing',
    });
  });

  it('names the tensor it lacks, and the metadata that is not a number', async () => {
    const file = await WeightsFile.open(await write({}, { norm_groups: 'many' }));
    expect(() => file.get('img_in.weight')).toThrow('has no tensor "img_in.weight"');
    expect(() => file.number('norm_groups', 32)).toThrow('"norm_groups": "many"');
  });
});

describe('shards', () => {
  const put = async (weightMap: object, shards: Record<string, string[]> = { one: ['a'], two: ['b'] }) => {
    for (const [shard, names] of Object.entries(shards)) {
      const tensors = new Map(names.map((name) => [name, floats(noise(2), [2])] as const));
      await writeFile(
        path.join(folder, `${shard}.safetensors`),
        encodeContainer({ metadata: { format: 'pt' }, tensors }),
      );
    }
    const index = JSON.stringify({ metadata: { total_size: 16 }, weight_map: weightMap });
    await writeFile(path.join(folder, 't5.safetensors.index.json'), index);
    return WeightsFile.open(path.join(folder, 't5.safetensors'));
  };

  it('are read as one file, each tensor in place', async () => {
    const file = await put({ a: 'one.safetensors', b: 'two.safetensors' });
    expect([...file.names].sort()).toEqual(['a', 'b']);
    expect(file.get('b').data.file).toBe(path.join(folder, 'two.safetensors'));
    expect(file.number('total_size', 0)).toBe(16);
    expect(file.bytes).toBeGreaterThan(2 * (8 + 8));
  });

  it('are rejected if the index omits one of their tensors', async () => {
    const shards = { one: ['a', 'forgotten'], two: ['b'] };
    await expect(put({ a: 'one.safetensors', b: 'two.safetensors' }, shards)).rejects.toMatchObject({
      code: 'model-file-invalid',
      detail: expect.stringMatching(/index\.json leaves out tensors of .*one\.safetensors: "forgotten"/),
    });
  });

  it.each<[string, object, RegExp]>([
    ['lacks a tensor', { a: 'one.safetensors', b: 'one.safetensors' }, /one\.safetensors has no tensor "b"/],
    ['lies elsewhere', { a: '../one.safetensors' }, /the shard "\.\.\/one\.safetensors"/],
    ['is not there', { a: 'three.safetensors' }, /three\.safetensors cannot be opened/],
    ['has no name', { a: 3 }, /t5\.safetensors\.index\.json cannot be read/],
  ])('are rejected if one %s', async (_, weightMap, words) => {
    await expect(put(weightMap)).rejects.toThrow(words);
  });
});

describe('a linear layer', () => {
  const [rows, inputs, outputs] = [3, 64, 8];
  const x = noise(rows * inputs);
  const bias = noise(outputs);

  async function compute(weights: Record<string, Tensor>): Promise<Float32Array> {
    const graph = Graph.create('linear');
    const layers = new Layers(graph, await WeightsFile.open(await write(weights)));
    graph.output('y', layers.linear('layer', graph.input('x', 'float32', [rows, inputs])));
    const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: true });
    const { y } = await session.run({ x }, 'y');
    await session.release();
    return y;
  }

  const expected = (weight: Float32Array) =>
    Float32Array.from({ length: rows * outputs }, (_, i) => {
      const [row, output] = [Math.floor(i / outputs), i % outputs];
      let sum = bias[output]!;
      for (let k = 0; k < inputs; k++) sum += x[row * inputs + k]! * weight[output * inputs + k]!;
      return sum;
    });

  it('takes PyTorch’s [out, in] and a bias in float32', async () => {
    const weight = noise(outputs * inputs);
    const y = await compute({
      'layer.weight': floats(weight, [outputs, inputs]),
      'layer.bias': floats(bias, [outputs]),
    });
    expect(relativeError(y, expected(weight))).toBeLessThan(1e-6);
  });

  it('takes bfloat16', async () => {
    const weight = noise(outputs * inputs).map((value) => Math.round(value * 8) / 8);
    // Such values lose nothing when the lower half of their bits is cut off.
    const halves = Uint16Array.from(new Uint32Array(weight.buffer), (bits) => bits >>> 16);
    const y = await compute({
      'layer.weight': { dtype: 'BF16', shape: [outputs, inputs], data: bytesOf(halves) },
      'layer.bias': floats(bias, [outputs]),
    });
    expect(relativeError(y, expected(weight))).toBeLessThan(1e-6);
  });

  it('takes 8-bit blocks around 128 with their scales, to within 1%', async () => {
    const block = 32;
    const codes = Uint8Array.from({ length: outputs * inputs }, (_, i) => (i * 73 + 5) % 256);
    const scales = noise(codes.length / block).map((value) => 0.01 + Math.abs(value) / 100);
    const weight = Float32Array.from(codes, (code, i) => (code - 128) * scales[Math.floor(i / block)]!);
    const y = await compute({
      'layer.weight': { dtype: 'U8', shape: [outputs, inputs / block, block], data: codes },
      'layer.weight.scales': floats(scales, [outputs, inputs / block]),
      'layer.bias': floats(bias, [outputs]),
    });
    expect(relativeError(y, expected(weight))).toBeLessThan(0.01);
  });

  it('rejects an unsupported type', async () => {
    const weights = {
      'layer.weight': { dtype: 'I16', shape: [1, 64], data: new Uint8Array(128) },
    } as const;
    await expect(compute(weights)).rejects.toMatchObject({
      code: 'model-file-invalid',
      detail: expect.stringMatching(/weights\.safetensors has "layer\.weight" as I16/),
    });
  });
});

/** Bytes of F8_E4M3 and their values, by the format's description (OCP 8-bit floating point, E4M3). */
const float8 = new Map([
  [0x00, 0],
  [0x01, 2 ** -9],
  [0x08, 2 ** -6],
  [0x38, 1],
  [0x3c, 1.5],
  [0x7e, 448],
  [0xb8, -1],
  [0xfe, -448],
]);

describe('float8', () => {
  const codes = Uint8Array.from(float8.keys());
  const values = [...float8.values()];
  const identity = Float32Array.from({ length: 8 * 8 }, (_, i) => (i % 9 === 0 ? 1 : 0));

  it.each<[string, Record<string, Tensor>, readonly number[]]>([
    ['without a scale', {}, [1, 1]],
    ['with one scale', { 'layer.weight_scale': floats(Float32Array.of(0.5), []) }, [0.5, 0.5]],
    ['with DeepSeek’s scale', { 'layer.weight_scale_inv': floats(Float32Array.of(0.25), []) }, [0.25, 0.25]],
    ['with ComfyUI’s scale', { 'layer.scale_weight': floats(Float32Array.of(3), [1]) }, [3, 3]],
    ['with a scale for each row', { 'layer.weight_scale': floats(Float32Array.of(2, 4), [2, 1]) }, [2, 4]],
  ])('is read in place %s: as a layer, as an embedding and as a parameter', async (_, scales, wanted) => {
    const file = await WeightsFile.open(
      await write({
        ...scales,
        'layer.weight': { dtype: 'F8_E4M3', shape: [2, 8], data: Buffer.concat([codes, codes]) },
      }),
    );
    const graph = Graph.create('float8');
    const layers = new Layers(graph, file);
    const x = graph.input('x', 'float32', [8, 8]);
    graph.output('product', layers.linear('layer', x));
    graph.output('rows', layers.embedding('layer', graph.input('ids', 'int64', [2])));
    graph.output('parameter', layers.parameter('layer.weight'));
    const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: false });
    const inputs = { x: identity, ids: BigInt64Array.of(1n, 0n) };
    const { product, rows, parameter } = await session.run(inputs, 'product', 'rows', 'parameter');
    await session.release();
    const [first, second] = wanted.map((scale) => values.map((value) => value * scale));
    expect([...parameter]).toEqual([...first!, ...second!]);
    expect([...rows]).toEqual([...second!, ...first!]);
    expect([...product]).toEqual(values.flatMap((_, i) => [first![i], second![i]]));
  });

  it('is also read as E5M2', async () => {
    // OCP 8-bit floating point, E5M2: bytes and their values.
    const e5m2 = [0, 2 ** -16, 2 ** -14, 1, 1.5, 57344, -1, -57344];
    const bytes = Uint8Array.of(0x00, 0x01, 0x04, 0x3c, 0x3e, 0x7b, 0xbc, 0xfb);
    const file = await WeightsFile.open(
      await write({
        'layer.weight': { dtype: 'F8_E5M2', shape: [1, 8], data: bytes },
        'layer.scale_weight': floats(Float32Array.of(2), []),
      }),
    );
    const graph = Graph.create('float8');
    const layers = new Layers(graph, file);
    graph.output('product', layers.linear('layer', graph.input('x', 'float32', [8, 8])));
    graph.output('rows', layers.embedding('layer', graph.input('ids', 'int64', [1])));
    const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: false });
    const { product, rows } = await session.run(
      { x: identity, ids: BigInt64Array.of(0n) },
      'product',
      'rows',
    );
    await session.release();
    const wanted = e5m2.map((value) => 2 * value);
    expect([...product]).toEqual(wanted);
    expect([...rows]).toEqual(wanted);
  });

  it('is rejected if its scales do not fit its rows, naming both', async () => {
    const file = await WeightsFile.open(
      await write({
        'layer.weight': { dtype: 'F8_E4M3', shape: [2, 8], data: Buffer.concat([codes, codes]) },
        'layer.weight_scale': floats(Float32Array.of(1, 2, 3), [3]),
      }),
    );
    expect(() => file.get('layer.weight')).toThrow(
      /weights\.safetensors has "layer\.weight_scale" as \[3\], .*2 rows of "layer\.weight"/,
    );
  });
});

describe('an embedding', () => {
  it('in 8-bit blocks returns the stored rows', async () => {
    const codes = Uint8Array.from({ length: 3 * 32 }, (_, i) => (i * 37) % 256);
    const graph = Graph.create('embedding');
    const file = await WeightsFile.open(
      await write({
        'shared.weight': { dtype: 'U8', shape: [3, 2, 16], data: codes },
        'shared.weight.scales': floats(Float32Array.of(1, 2, 3, 4, 0.5, 0.25), [3, 2]),
      }),
    );
    graph.output('rows', new Layers(graph, file).embedding('shared', graph.input('ids', 'int64', [2])));
    const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: false });
    const { rows } = await session.run({ ids: BigInt64Array.of(2n, 1n) }, 'rows');
    const scales = [0.5, 0.25, 3, 4];
    const stored = [...codes.slice(64), ...codes.slice(32, 64)];
    expect([...rows]).toEqual(stored.map((code, i) => (code - 128) * scales[Math.floor(i / 16)]!));
    await session.release();
  });
});

describe('the catalogue', () => {
  const put = async (id: string, target: string) => {
    await mkdir(path.join(folder, 'models'), { recursive: true });
    await symlink(target, path.join(folder, 'models', id));
  };

  it('finds a model that was put into the models folder by hand', async () => {
    await put('mine', tinyModel.folder);
    expect((await listModels()).map((model) => model.id)).toContain('mine');
    expect(await findModel('mine')).toMatchObject({ id: 'mine', maxSequence: 4096 });
  });

  it('does not list an incomplete model, and names its missing files', async () => {
    await put('half', folder);
    await expect(findModel('half')).rejects.toMatchObject({
      code: 'model-missing',
      detail: expect.stringMatching(/transformer\.safetensors, .*clip\/tokenizer_config\.json/),
    });
    expect((await listModels()).map((model) => model.id)).not.toContain('half');
  });

  it('finds a model with sharded weights', async () => {
    const copy = path.join(folder, 'copy');
    await cp(tinyModel.folder, copy, { recursive: true });
    await rename(path.join(copy, 't5.safetensors'), path.join(copy, 'shard.safetensors'));
    await put('sharded', copy);
    await expect(findModel('sharded')).rejects.toMatchObject({ code: 'model-missing' });
    await writeFile(path.join(copy, 't5.safetensors.index.json'), '{"weight_map": {}}');
    expect(await findModel('sharded')).toMatchObject({ id: 'sharded' });
  });

  it('finds the adapters of a model, and no file outside their folder', async () => {
    const copy = path.join(folder, 'copy');
    await mkdir(path.join(copy, 'adapters'), { recursive: true });
    await writeFile(path.join(copy, 'secret.safetensors'), '');
    const model = { ...tinyModel, folder: copy };
    await expect(findAdapter(model, 'portrait')).rejects.toMatchObject({ code: 'adapter-unknown' });
    for (const name of ['subject_lora16', 'portrait']) {
      await writeFile(path.join(copy, 'adapters', `${name}.safetensors`), '');
    }
    expect(await listAdapters(model)).toEqual(['portrait', 'subject_lora16']);
    expect(await findAdapter(model, 'portrait')).toBe(path.join(copy, 'adapters', 'portrait.safetensors'));
    for (const name of ['../secret', 'none', '']) {
      await expect(findAdapter(model, name)).rejects.toMatchObject({
        code: 'adapter-unknown',
        detail: expect.stringContaining('it has portrait, subject_lora16'),
      });
    }
    expect(await listAdapters(tinyModel)).toEqual([]);
  });

  it('rejects unknown models and names that leave the folder', async () => {
    for (const id of ['none', '..', '../models']) {
      await expect(findModel(id)).rejects.toMatchObject({ code: 'model-unknown' });
    }
  });
});
