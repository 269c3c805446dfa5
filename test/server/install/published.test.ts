import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFiles, modelId } from '../../../server/catalogue/catalogue.ts';
import { candidatesIn, Finder } from '../../../server/install/existing.ts';
import { type PublishedFile, publishedModels } from '../../../server/install/published.ts';

describe('the published models', () => {
  it.each(publishedModels)('$id has every file the loader needs, each once or as a choice', ({
    id,
    parts,
  }) => {
    expect(id).toMatch(modelId);
    const adapters = parts
      .map(({ file }) => file)
      .filter((file) => /^adapters\/[a-z-]+\.safetensors$/.test(file));
    expect(new Set(parts.map(({ file }) => file))).toEqual(
      new Set([...Object.values(modelFiles), ...adapters]),
    );
    const choices = parts.map(({ file, t5 }) => `${file} ${t5}`);
    expect(choices).toHaveLength(new Set(choices).size);
  });

  it.each(publishedModels)('$id has valid sources and full hashes', ({ parts }) => {
    for (const { source } of parts) {
      expect(source.repo).toMatch(/^[\w.-]+\/[\w.-]+$/);
      expect(source.revision).toMatch(/^(?:main|[0-9a-f]{40})$/);
      expect(source.sha256 ?? '0'.repeat(64)).toMatch(/^[0-9a-f]{64}$/);
      expect(source.sha256 === undefined).toBe(source.size === undefined);
    }
  });

  // Parameters as diffusers and transformers count them in networks of the published configurations, T5's
  // embedding stored twice; what is left is the header.
  it.each([
    ['flux1-fill-dev.safetensors', 11_902_391_360 * 2],
    ['t5xxl_fp16.safetensors', (4_762_310_656 + 32128 * 4096) * 2],
    ['t5xxl_fp8_e4m3fn.safetensors', 4_762_310_656 + 32128 * 4096],
    ['clip_l.safetensors', 123_060_480 * 2],
    ['ae.safetensors', 83_819_683 * 4],
  ])('%s has the size of its network’s parameters and a header', (name, bytes) => {
    const sources = publishedModels.flatMap(({ parts }) => parts.map(({ source }) => source));
    const { size = 0 } = sources.find(({ path: place }) => place === name)!;
    expect(size - bytes).toBeGreaterThan(8);
    expect(size - bytes).toBeLessThan(150_000);
  });
});

describe('a network is recognized by its tensors', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** A file with only these tensors; its data is a hole, which takes no space. */
  async function fileOf(
    name: string,
    dtype: 'BF16' | 'F8_E4M3',
    shapes: NonNullable<PublishedFile['shapes']>,
  ) {
    let end = 0;
    const entries = Object.entries(shapes).map(([tensor, shape]) => {
      const begin = end;
      end += shape.reduce((product, side) => product * side, dtype === 'BF16' ? 2 : 1);
      return [tensor, { dtype, shape, data_offsets: [begin, end] }];
    });
    const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const file = path.join(folder, name);
    const handle = await open(file, 'w');
    await handle.write(Buffer.concat([length, json]));
    await handle.truncate(8 + json.length + end);
    await handle.close();
    return file;
  }

  it('so that Fill, FFT, both T5 and CLIP are told apart, and an autoencoder is never guessed', async () => {
    const parts = [
      ...new Map(publishedModels.flatMap((m) => m.parts).map((part) => [part.title, part])).values(),
    ];
    const known = parts.filter(({ shapes }) => shapes !== undefined);
    expect(known.map(({ title }) => title)).toEqual([
      'FLUX.1-Fill-dev',
      'T5-XXL, 16 bits',
      'T5-XXL, 8 bits',
      'CLIP-L',
      'ACE++ FFT',
    ]);
    for (const { title, shapes, t5 } of known) {
      const file = await fileOf('any.safetensors', t5 === 'fp8' ? 'F8_E4M3' : 'BF16', shapes!);
      const finder = new Finder(await candidatesIn([file], true), new AbortController().signal, () => {});
      const matching: string[] = [];
      for (const part of parts) if (await finder.alike(part)) matching.push(part.title);
      expect(matching).toEqual([title]);
    }
  });
});
