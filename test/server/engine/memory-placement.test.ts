import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fluxTensors, writeWeights } from '../../../bench/weights.ts';
import { findModel, modelsFolder } from '../../../server/catalogue/catalogue.ts';
import { projectRoot } from '../../../server/disk/paths.ts';
import { defaultModels } from '../../../server/engine/default-model.ts';
import { placeInMemory } from '../../../server/engine/memory-placement.ts';

const tiny = path.join(projectRoot, 'test/reference/arrays/tiny');
let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'acepp-fit-'));
  vi.stubEnv('ACEPP_HOME', home);
  await mkdir(modelsFolder());
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

describe('the default model', () => {
  test('is an installed one on a GPU, preferably with adapters, and pocket last', async () => {
    await symlink(tiny, path.join(modelsFolder(), 'a-plain'), 'junction');
    await cp(tiny, path.join(modelsFolder(), 'b-adapted'), { recursive: true });
    await mkdir(path.join(modelsFolder(), 'b-adapted/adapters'), { recursive: true });
    await writeFile(path.join(modelsFolder(), 'b-adapted/adapters/subject.safetensors'), '');
    await mkdir(path.join(modelsFolder(), 'c-not-whole'));
    const ids = async (provider: 'cpu' | 'cuda') => (await defaultModels(provider)).map(({ id }) => id);
    expect(await ids('cuda')).toEqual(['b-adapted', 'a-plain', 'pocket']);
    expect(await ids('cpu')).toEqual(['pocket']);
  });
});

describe('two gigabytes of weights', () => {
  const memory = (gigabytes: number) => ({ name: 'A card', free: gigabytes * 1e9, total: 64e9 });

  /** A transformer with FLUX.1's hidden size and one block of each kind. */
  async function wide() {
    const folder = path.join(modelsFolder(), 'wide');
    await cp(tiny, folder, { recursive: true });
    await rm(path.join(folder, 'transformer.safetensors'));
    const shapes = fluxTensors({ width: 3072, double: 1, single: 1 });
    writeWeights(path.join(folder, 'transformer.safetensors'), shapes, 'F32', 'zeros');
    return findModel('wide');
  }

  test('run unchanged if there is room, without a note', async () => {
    const { form, plan, note } = await placeInMemory(await wide(), 'cuda', 'float32', memory(24));
    expect(form.id).toBe('wide');
    expect(plan).toMatchObject({ inTurn: false, tileSide: 128 });
    expect(note).toBeUndefined();
  });

  test('are rejected on a GPU of two, with the command that quantizes them', async () => {
    await expect(placeInMemory(await wide(), 'cuda', 'float32', memory(2))).rejects.toMatchObject({
      code: 'out-of-memory',
      remedy: expect.stringContaining('acepp quantize --model wide --bits 4'),
    });
  });

  test('run from the disk on a computer of one, with a note', async () => {
    const { form, plan, note } = await placeInMemory(await wide(), 'cpu', 'float32', memory(1));
    expect(form.id).toBe('wide');
    expect(plan).toBeUndefined();
    expect(note).toMatch(
      /“wide” has 2\.\d GB of weights, but only 1\.0 GB of memory are free: .* from the disk/,
    );
  });
});

test('a small model is not planned for', async () => {
  await symlink(tiny, path.join(modelsFolder(), 'tiny'), 'junction');
  const little = { name: 'A card', free: 1e6, total: 1e9 };
  expect(await placeInMemory(await findModel('tiny'), 'cuda', 'float32', little)).toEqual({
    form: await findModel('tiny'),
  });
});
