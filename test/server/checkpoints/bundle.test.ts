import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { modelFiles } from '../../../server/catalogue/catalogue.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import { decodeContainer, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { tinyModel } from '../models/arrays.ts';

const networks = ['transformer', 't5', 'clip', 'vae'] as const;
type Network = (typeof networks)[number];

/** As ComfyUI saves checkpoints of FLUX.1, and as Stable Diffusion's were. */
const styles: readonly Readonly<Record<Network, string>>[] = [
  {
    transformer: 'model.diffusion_model.',
    t5: 'text_encoders.t5xxl.transformer.',
    clip: 'text_encoders.clip_l.transformer.',
    vae: 'vae.',
  },
  {
    transformer: 'model.diffusion_model.',
    t5: 'conditioner.embedders.1.transformer.',
    clip: 'conditioner.embedders.0.transformer.',
    vae: 'first_stage_model.',
  },
];

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-bundle-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function bundle(
  name: string,
  prefixes: Readonly<Partial<Record<Network, string>>>,
  more: Readonly<Record<string, Tensor>> = {},
): Promise<string> {
  const tensors = new Map<string, Tensor>(Object.entries(more));
  let metadata = {};
  for (const [network, prefix] of Object.entries(prefixes) as [Network, string][]) {
    const file = decodeContainer(await readFile(path.join(tinyModel.folder, modelFiles[network])));
    metadata = { ...metadata, ...file.metadata };
    for (const [key, tensor] of file.tensors) tensors.set(prefix + key, tensor);
  }
  const place = path.join(folder, `${name}.safetensors`);
  await writeFile(place, encodeContainer({ metadata, tensors }));
  return place;
}

/** A model's folder in which all four networks are one file. */
async function modelOf(place: string) {
  const model = { ...tinyModel, folder: await mkdtemp(path.join(folder, 'model-')) };
  for (const network of networks) await symlink(place, path.join(model.folder, modelFiles[network]));
  for (const text of ['t5', 'clip']) {
    await symlink(path.join(tinyModel.folder, text), path.join(model.folder, text));
  }
  return model;
}

async function computed(model: typeof tinyModel) {
  const loaded = await loadNetworks(model, { provider: 'cpu' });
  const conditioning = await loaded.encodePrompt('put a red circle here');
  const image = { data: new Float32Array(3 * 32 * 32).fill(0.25), width: 32, height: 32 };
  const latent = await loaded.vaeEncode(image);
  const input = new Float32Array(4 * 384).fill(0.5);
  const step = { conditioning, input, rows: 2, columns: 2, sigma: 0.7, guidance: 4 };
  const velocity = await loaded.velocity(step);
  const decoded = await loaded.vaeDecode(latent);
  await loaded.release();
  return { conditioning, latent, velocity, decoded };
}

it.each(styles)('an all-in-one checkpoint runs in place and equals its parts: %o', async (prefixes) => {
  const place = await bundle(prefixes.vae, prefixes);
  expect(await computed(await modelOf(place))).toEqual(await computed(tinyModel));
});

const one: Tensor = { dtype: 'F32', shape: [1], data: new Uint8Array(4) };

it('its other text encoders are ignored; tensors that belong to no network are rejected by name', async () => {
  const foreign = {
    'text_encoders.clip_g.transformer.text_model.x': one,
    'text_encoders.t5xxl.logit_scale': one,
  };
  const place = await bundle('foreign', styles[0]!, foreign);
  await (await loadNetworks(await modelOf(place), { provider: 'cpu' })).release();
  const stray = await bundle('stray', styles[0]!, { 'adapter.gate': one });
  await expect(loadNetworks(await modelOf(stray), { provider: 'cpu' })).rejects.toMatchObject({
    code: 'model-file-invalid',
    detail: expect.stringContaining('"adapter.gate"'),
  });
});

it('a checkpoint that lacks a network lists those it holds', async () => {
  const { transformer, vae } = styles[0]!;
  const place = await bundle('half', { transformer, vae });
  await WeightsFile.open(place, 'vae');
  await expect(WeightsFile.open(place, 't5')).rejects.toMatchObject({
    code: 'model-file-invalid',
    detail: expect.stringMatching(/half\.safetensors holds a transformer and VAE, but no T5 text encoder/),
  });
});
