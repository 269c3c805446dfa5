import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, test, vi } from 'vitest';
import type { Networks } from '../../../server/models/networks.ts';
import { authorsTokens } from '../../../server/models/tokenizers.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import { Session } from '../../../server/runtime/session.ts';
import { bytesOf, encodeContainer } from '../../../shared/safetensors.ts';
import { readArrays, relativeError, tinyModel } from '../models/arrays.ts';

describe('when memory is short', () => {
  afterEach(() => vi.restoreAllMocks());

  it('text encoders and transformer are never open together, and compute the same as ever', async () => {
    const open = new Set<string>();
    const together = new Set<string>();
    const openSession = Session.open;
    vi.spyOn(Session, 'open').mockImplementation(async (model, options) => {
      const session = await openSession(model, options);
      const [{ name = '' } = {}] = model.outputs;
      const release = session.release.bind(session);
      session.release = async () => {
        open.delete(name);
        await release();
      };
      open.add(name);
      if (open.has('velocity') && (open.has('text') || open.has('pooled'))) together.add(name);
      return session;
    });
    const run = async (inTurn: boolean) => {
      const plan = { inTurn, fittingSequence: 99, tileSide: 64 };
      const networks = await loadNetworks(tinyModel, { provider: 'cpu', plan });
      expect(networks.spec.fittingSequence).toBe(99);
      const velocities = [];
      for (const instruction of ['a red circle', 'the blue circle']) {
        const conditioning = await networks.encodePrompt(instruction);
        const input = new Float32Array(6 * 384).fill(0.5);
        velocities.push(
          await networks.velocity({ conditioning, input, rows: 2, columns: 3, sigma: 0.7, guidance: 4 }),
        );
      }
      await networks.release();
      expect([...open]).toEqual([]);
      return velocities;
    };
    const besideEachOther = await run(false);
    expect(together.size).toBeGreaterThan(0);
    together.clear();
    expect(await run(true)).toEqual(besideEachOther);
    expect([...together]).toEqual([]);
  });
});

test('pictures of all sizes share one transformer session: its weights are loaded once', async () => {
  const opened = vi.spyOn(Session, 'open');
  const networks = await loadNetworks(tinyModel, { provider: 'cpu' });
  const conditioning = await networks.encodePrompt('a red circle');
  for (const [rows, columns] of [
    [2, 3],
    [4, 4],
    [1, 7],
  ] as const) {
    const input = new Float32Array(rows * columns * 384).fill(0.5);
    const velocity = await networks.velocity({ conditioning, input, rows, columns, sigma: 0.7, guidance: 4 });
    expect(velocity.length).toBe(rows * columns * 64);
  }
  const outputs = opened.mock.calls.map(([model]) => model.outputs[0]!.name);
  expect(outputs.filter((name) => name === 'velocity')).toHaveLength(1);
  await networks.release();
  opened.mockRestore();
});

describe('a loaded model', () => {
  let networks: Networks;
  beforeAll(async () => {
    networks = await loadNetworks(tinyModel, { provider: 'cpu' });
  });
  afterAll(() => networks.release());

  it('reports its family', () => {
    expect(networks.provider).toBe('cpu');
    expect(networks.spec).toEqual({
      id: 'tiny',
      family: 'fill',
      inChannels: 384,
      maxSequence: 4096,
    });
  });

  it('encodes an instruction; another one is another conditioning', async () => {
    const red = await networks.encodePrompt('a red circle');
    const blue = await networks.encodePrompt('the blue circle');
    expect([red.text.length, red.textTokens, red.pooled.length]).toEqual([12 * 32, 12, 128]);
    expect(relativeError(red.text, blue.text)).toBeGreaterThan(0.01);
    expect(relativeError(red.pooled, blue.pooled)).toBeGreaterThan(0.01);
    expect(await networks.encodePrompt('a red circle')).toEqual(red);
  });

  it('does not encode the same input twice: the same edit with another seed', async () => {
    const text = await networks.encodePrompt('a red circle');
    const image = { data: new Float32Array(3 * 32 * 32).fill(0.25), width: 32, height: 32 };
    const latent = await networks.vaeEncode(image);
    const run = vi.spyOn(Session.prototype, 'run');
    expect(await networks.encodePrompt('a red circle')).toBe(text);
    expect(await networks.vaeEncode({ ...image, data: image.data.slice() })).toBe(latent);
    expect(run).not.toHaveBeenCalled();
    const other = await networks.vaeEncode({ ...image, data: image.data.with(7, 0.5) });
    expect(other).not.toEqual(latent);
    expect(run).toHaveBeenCalledTimes(1);
    run.mockRestore();
  });

  it('encodes and decodes images of several sizes, as the reference does', async () => {
    const array = readArrays('autoencoder.safetensors');
    const image = { data: array('image').data, width: 64, height: 48 };
    const other = { data: new Float32Array(3 * 16 * 32), width: 32, height: 16 };
    const small = await networks.vaeEncode(other);
    expect({ ...small, data: small.data.length }).toEqual({
      data: 16 * 2 * 4,
      channels: 16,
      width: 4,
      height: 2,
    });
    const latent = await networks.vaeEncode(image);
    expect(relativeError(latent.data, array('latent').data)).toBeLessThan(1e-4);
    const decoded = await networks.vaeDecode(latent);
    expect([decoded.width, decoded.height]).toEqual([64, 48]);
    expect(relativeError(decoded.data, array('decoded').data)).toBeLessThan(1e-4);
  });

  it('computes the velocity as the reference does, also after grids of other shapes', async () => {
    const array = readArrays('flux384.safetensors');
    const conditioning = {
      text: array('text').data,
      textTokens: array('text').shape[0]!,
      pooled: array('vector').data,
    };
    const step = { conditioning, input: array('image').data, sigma: array('sigma').data[0]!, guidance: 4.5 };
    const [rows = 0, columns = 0] = array('grid').data;
    // The same number of tokens in another layout: another picture for the transformer.
    const turned = await networks.velocity({ ...step, rows: columns, columns: rows });
    const velocity = await networks.velocity({ ...step, rows, columns });
    expect(relativeError(velocity, array('velocity').data)).toBeLessThan(1e-4);
    expect(relativeError(turned, velocity)).toBeGreaterThan(0.001);
    const input = step.input.slice(0, 2 * 384);
    for (const [height, width] of [
      [1, 2],
      [2, 1],
      [1, 1],
    ] as const) {
      const small = await networks.velocity({
        ...step,
        input: input.slice(0, height * width * 384),
        rows: height,
        columns: width,
      });
      expect(small).toHaveLength(height * width * 64);
    }
    expect(await networks.velocity({ ...step, rows, columns })).toEqual(velocity);
  });
});

describe('the adapters of a model', () => {
  let folder = '';
  let networks: Networks;
  const noise = (count: number) =>
    Float32Array.from({ length: count }, (_, i) => (((i * 7919 + 13) % 2003) / 1001.5 - 1) / 8);
  const put = (name: string, tensors: Record<string, number[]>) => {
    const stored = Object.entries(tensors).map(([key, shape]) => {
      const values = noise(shape.reduce((product, size) => product * size, 1));
      return [key, { dtype: 'F32', shape, data: bytesOf(values) }] as const;
    });
    const content = encodeContainer({ metadata: {}, tensors: new Map(stored) });
    return writeFile(path.join(folder, 'adapters', `${name}.safetensors`), content);
  };
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-model-'));
    await cp(tinyModel.folder, folder, { recursive: true });
    await mkdir(path.join(folder, 'adapters'));
    await put('portrait', {
      'lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight': [2, 64],
      'lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight': [192, 2],
    });
    await put('subject', {
      'transformer.proj_out.lora_A.weight': [3, 64],
      'transformer.proj_out.lora_B.weight': [64, 3],
    });
    await put('wrong', { 'transformer.proj_in.lora_A.weight': [3, 64] });
    networks = await loadNetworks({ ...tinyModel, folder }, { provider: 'cpu' });
  });
  afterEach(() => vi.restoreAllMocks());
  afterAll(async () => {
    await networks.release();
    await rm(folder, { recursive: true });
  });

  const array = readArrays('flux384.safetensors');
  const velocity = (...adapters: { name: string; scale: number }[]) =>
    networks.velocity({
      conditioning: {
        text: array('text').data,
        textTokens: array('text').shape[0]!,
        pooled: array('vector').data,
      },
      input: array('image').data,
      rows: array('grid').data[0]!,
      columns: array('grid').data[1]!,
      sigma: array('sigma').data[0]!,
      guidance: 4.5,
      adapters,
    });
  const portrait = (scale: number) => ({ name: 'portrait', scale });
  const subject = (scale: number) => ({ name: 'subject', scale });

  it('change the velocity by their scale, without another session', async () => {
    const base = await velocity();
    await velocity(portrait(1));
    const opened = vi.spyOn(Session, 'open');
    const [none, half, whole] = [
      await velocity(portrait(0)),
      await velocity(portrait(0.5)),
      await velocity(portrait(1)),
    ];
    expect(opened).not.toHaveBeenCalled();
    expect(relativeError(none, base)).toBeLessThan(1e-6);
    expect(relativeError(half, base)).toBeGreaterThan(0.001);
    expect(relativeError(whole, half)).toBeGreaterThan(0.001);
    expect(relativeError(await velocity(), base)).toBe(0);
  });

  it('combine in any order; one given twice is twice as strong', async () => {
    const both = await velocity(portrait(0.5), subject(1));
    expect(relativeError(both, await velocity(portrait(0.5)))).toBeGreaterThan(0.001);
    const opened = vi.spyOn(Session, 'open');
    expect(await velocity(subject(1), portrait(0.5))).toEqual(both);
    expect(await velocity(subject(0.5), portrait(0.5), subject(0.5))).toEqual(both);
    expect(opened).not.toHaveBeenCalled();
  });

  it('are read before use: a missing or mismatched one is reported', async () => {
    await networks.openAdapters(['portrait', 'subject']);
    await expect(networks.openAdapters(['portrait', 'none'])).rejects.toMatchObject({
      code: 'adapter-unknown',
      detail: expect.stringContaining('it has portrait, subject, wrong'),
    });
    await expect(networks.openAdapters(['wrong'])).rejects.toMatchObject({
      code: 'adapter-invalid',
      detail: expect.stringMatching(/wrong\.safetensors .*transformer\.proj_in\.lora_A\.weight/),
    });
  });
});

describe('an incomplete model', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-model-'));
    await cp(tinyModel.folder, folder, { recursive: true });
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('is rejected on loading, naming the wrong file', async () => {
    await writeFile(path.join(folder, 't5/tokenizer.json'), '{"model": 1}');
    await expect(loadNetworks({ ...tinyModel, folder }, { provider: 'cpu' })).rejects.toMatchObject({
      code: 'model-file-invalid',
      detail: expect.stringContaining('tokenizer.json'),
    });
    await writeFile(path.join(folder, 'clip.safetensors'), 'nothing');
    await expect(loadNetworks({ ...tinyModel, folder }, { provider: 'cpu' })).rejects.toMatchObject({
      code: 'model-file-invalid',
      detail: expect.stringContaining('clip.safetensors'),
    });
  });
});

it('the authors’ tokens name each reference if the whole model was trained with them', () => {
  expect(authorsTokens(384)).toEqual(['{image}']);
  expect(authorsTokens(448)).toHaveLength(14);
  expect(authorsTokens(448)).toContain('{image9}');
});
