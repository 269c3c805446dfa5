import { cp, mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { adapterDefaults } from '../../../server/catalogue/adapter-defaults.ts';
import { findInstalled, listAdapters, type ModelEntry } from '../../../server/catalogue/catalogue.ts';
import { addAdapter, publishedAdapters, removeAdapter } from '../../../server/install/adapters.ts';
import { Hub } from '../../../server/install/hub.ts';
import { parseHubReference } from '../../../server/install/hub-reference.ts';
import { readRecord } from '../../../server/install/record.ts';
import { bytesOf, encodeContainer } from '../../../shared/safetensors.ts';
import { tinyModel } from '../models/arrays.ts';
import { FakeHub } from './fake-hub.ts';

const encoded = (width: number) => {
  const tensor = (shape: number[]) =>
    ({ dtype: 'F32', shape, data: bytesOf(new Float32Array(shape[0]! * shape[1]!).fill(0.5)) }) as const;
  const tensors = new Map([
    ['transformer.proj_out.lora_A.weight', tensor([2, width])],
    ['transformer.proj_out.lora_B.weight', tensor([64, 2])],
  ]);
  return Buffer.from(encodeContainer({ metadata: {}, tensors }));
};
const fitting = encoded(64);

let fake: FakeHub;
let home = '';
let model: ModelEntry;
beforeAll(async () => {
  fake = await FakeHub.start();
  const [turbo] = publishedAdapters;
  fake.publish(turbo!.repo, turbo!.path!, fitting);
  fake.publish('someone/Watercolour', 'pytorch_lora_weights.safetensors', fitting);
  fake.publish('someone/wide', 'wide.safetensors', encoded(48));
});
afterAll(() => fake.close());
beforeEach(async () => {
  home = await mkdtemp(path.join(os.tmpdir(), 'acepp-adapters-'));
  vi.stubEnv('ACEPP_HOME', home);
  await mkdir(path.join(home, 'models'));
  await cp(tinyModel.folder, path.join(home, 'models', 'mine'), { recursive: true });
  model = await findInstalled('mine');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

const options = (name?: string) => {
  const { signal } = new AbortController();
  return {
    home,
    hub: new Hub({ endpoint: fake.endpoint, signal }),
    name,
    ask: async () => true,
    progress: () => {},
    log: () => {},
    signal,
    firstDelayMs: 1,
  };
};
const add = (what: string, name?: string) => addAdapter(model, what, options(name));

describe('an adapter is added', () => {
  it('from the user’s own file, which is linked and kept', async () => {
    const file = path.join(home, 'My Style (v2).safetensors');
    await writeFile(file, fitting);
    expect(await add(file)).toBe('my-style-v2');
    expect(await listAdapters(model)).toEqual(['my-style-v2']);
    expect(await readlink(path.join(model.folder, 'adapters/my-style-v2.safetensors'))).toBe(file);
    expect(await removeAdapter(model, 'my-style-v2')).toEqual({ bytes: 0, kept: file });
    expect(await listAdapters(model)).toEqual([]);
    expect((await stat(file)).size).toBe(fitting.length);
  });

  it.each([
    'someone/Watercolour',
    'someone/Watercolour/pytorch_lora_weights.safetensors',
    'https://huggingface.co/someone/Watercolour/blob/main/pytorch_lora_weights.safetensors?download=true',
  ])('from the hub: %s', async (reference) => {
    expect(await add(reference)).toBe('watercolour');
    const place = path.join(model.folder, 'adapters/watercolour.safetensors');
    expect(await readFile(place)).toEqual(fitting);
    const { from, digest } = (await readRecord(model.folder))['adapters/watercolour.safetensors']!;
    expect(from).toBe(`someone/Watercolour/pytorch_lora_weights.safetensors@${fake.commit}`);
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect((await removeAdapter(model, 'watercolour')).bytes).toBe(fitting.length);
    expect(await readRecord(model.folder)).toEqual({});
  });

  it('by its catalogue name, with its recommended steps and guidance', async () => {
    expect(await add('turbo')).toBe('turbo');
    expect(await adapterDefaults(model)).toEqual({ turbo: { steps: 8, guidance: 30 } });
    const { from, size, digest } = (await readRecord(model.folder))['adapters/turbo.safetensors']!;
    expect([from, size]).toEqual([
      `alimama-creative/FLUX.1-Turbo-Alpha/diffusion_pytorch_model.safetensors@${fake.commit}`,
      fitting.length,
    ]);
    expect(digest).toMatch(/^sha256:/);
    await removeAdapter(model, 'turbo');
    expect(await adapterDefaults(model)).toEqual({});
  });
});

describe('an adapter is not added', () => {
  const refusal = (running: Promise<unknown>) =>
    running.then(
      () => 'added',
      ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
    );

  it('if it does not fit the model, and leaves nothing behind', async () => {
    expect(await refusal(add('someone/wide/wide.safetensors'))).toMatch(
      /^adapter-invalid: .*\[2, 48\], but \[2, 64\]/,
    );
    const file = path.join(home, 'wide.safetensors');
    await writeFile(file, encoded(48));
    expect(await refusal(add(file))).toMatch(/^adapter-invalid: /);
    expect(await listAdapters(model)).toEqual([]);
    expect(await readRecord(model.folder)).toEqual({});
  });

  it('if its name is taken', async () => {
    await add('turbo');
    expect(await refusal(add('someone/Watercolour', 'turbo'))).toMatch(
      /^request-invalid: .*already has an adapter "turbo"/,
    );
  });

  it('if its source is missing, not a file, or not a valid name', async () => {
    expect(await refusal(add('./none.safetensors'))).toMatch(/^request-invalid: There is no file /);
    expect(await refusal(add(home))).toMatch(/^request-invalid: .*is a folder/);
    expect(await refusal(add('someone/none'))).toMatch(
      /^request-invalid: someone\/none has none of the files pytorch_lora/,
    );
    expect(await refusal(add('someone/Watercolour/other.safetensors'))).toMatch(/^hub-refused: .*\(404\)/);
    expect(await refusal(add('what'))).toMatch(/^request-invalid: "what" is neither a file/);
    expect(await refusal(add('turbo', '../up'))).toMatch(/^request-invalid: "\.\.\/up" cannot be/);
  });

  it('and one that was put there by hand is not removed', async () => {
    await mkdir(path.join(model.folder, 'adapters'));
    await writeFile(path.join(model.folder, 'adapters/own.safetensors'), fitting);
    expect(await refusal(removeAdapter(model, 'own'))).toMatch(/^request-invalid: .*added by you/);
    expect(await refusal(removeAdapter(model, 'none'))).toMatch(
      /^adapter-unknown: .*Installed adapters: own/,
    );
  });
});

it('a hub reference has a revision if one is given', () => {
  expect(parseHubReference('a/b@v1/c/d.safetensors')).toEqual({
    repo: 'a/b',
    revision: 'v1',
    path: 'c/d.safetensors',
  });
  expect(parseHubReference('https://huggingface.co/a/b/resolve/0ff/d%20e.safetensors')).toEqual({
    repo: 'a/b',
    revision: '0ff',
    path: 'd e.safetensors',
  });
  expect(() => parseHubReference('https://civitai.com/models/1')).toThrow('neither a file');
});
