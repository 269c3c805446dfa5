import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFiles } from '../../../server/catalogue/catalogue.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import { decodeContainer, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { tinyModel } from './arrays.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-wrong-'));
  await cp(tinyModel.folder, folder, { recursive: true });
});
afterAll(() => rm(folder, { recursive: true }));

/** What is reported about the model, or that it was loaded. */
async function told(): Promise<string> {
  try {
    const networks = await loadNetworks({ ...tinyModel, folder }, { provider: 'cpu' });
    await networks.release();
    return 'loaded';
  } catch (error) {
    const { code, detail } = error as { code: string; detail: string };
    return `${code}: ${detail}`;
  }
}

const weights = ['transformer', 't5', 'clip', 'vae'] as const;
type Network = (typeof weights)[number];

/** What is reported for other tensors in a network's file. */
async function toldWith(network: Network, change: (tensors: Map<string, Tensor>) => void): Promise<string> {
  const file = path.join(folder, modelFiles[network]);
  const bytes = await readFile(file);
  const { metadata, tensors } = decodeContainer(bytes);
  const changed = new Map(tensors);
  change(changed);
  await writeFile(file, encodeContainer({ metadata, tensors: changed }));
  const answer = await told();
  await writeFile(file, bytes);
  return answer;
}

describe.each(weights)('a model is rejected, naming its %s file and the tensor,', (network) => {
  const file = modelFiles[network];

  it('whichever tensor is missing', async () => {
    const { names } = await WeightsFile.open(path.join(folder, file));
    for (const name of names) {
      const answer = await toldWith(network, (tensors) => tensors.delete(name));
      expect(answer, name).toContain('model-file-invalid: ');
      expect(answer, name).toContain(path.join(folder, file));
      // T5 has its table under two names, and the second is the one that is asked for last.
      const wanted = name === 'shared.weight' ? 'embed_tokens.weight' : name;
      expect(answer).toContain(`"${wanted}"`.slice(wanted === name ? 0 : 1));
    }
  });

  it('whichever tensor has an extra row or column', async () => {
    const { names } = await WeightsFile.open(path.join(folder, file));
    for (const name of names) {
      // A table may have more rows than are used.
      const axes = name.includes('embedding') || name.startsWith('shared') ? [-1] : [0, -1];
      for (const axis of axes) {
        const answer = await toldWith(network, (tensors) => {
          const { dtype, shape, data } = tensors.get(name)!;
          const longer = shape.with(axis, shape.at(axis)! + 1);
          const part = data.length / shape.at(axis)!;
          tensors.set(name, { dtype, shape: longer, data: Buffer.concat([data, data.subarray(0, part)]) });
        });
        expect(answer, `${name} ${axis}`).toContain('model-file-invalid: ');
        expect(answer, `${name} ${axis}`).toContain(path.join(folder, file));
      }
    }
  });

  it('whichever tensor has an unsupported type', async () => {
    const { names } = await WeightsFile.open(path.join(folder, file));
    for (const name of names) {
      const answer = await toldWith(network, (tensors) => {
        const { shape } = tensors.get(name)!;
        const count = shape.reduce((product, size) => product * size, 1);
        tensors.set(name, { dtype: 'I16', shape, data: new Uint8Array(count * 2) });
      });
      expect(answer, name).toContain(`${path.join(folder, file)} has "${name}" as I16`);
    }
  });
});

describe('a file with a false header is rejected before it takes memory', () => {
  const file = modelFiles.transformer;

  /**
   * What is told when the header of the transformer's file is another, and its data as long as it was or as
   * is given.
   */
  async function toldOf(change: (header: Header) => void, dataLength?: number): Promise<string> {
    const place = path.join(folder, file);
    const bytes = await readFile(place);
    const end = 8 + Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, end).toString()) as Header;
    change(header);
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    await writeFile(place, Buffer.concat([length, json, bytes.subarray(end)]));
    if (dataLength !== undefined) await truncate(place, 8 + json.length + dataLength);
    const answer = await told();
    await writeFile(place, bytes);
    return answer;
  }
  type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const name = 'txt_in.weight';

  it.each<[string, (header: Header) => void, RegExp]>([
    [
      'overlap another',
      (header) => {
        const [begin, end] = header[name]!.data_offsets;
        header[name]!.data_offsets = [begin - 4, end - 4];
      },
      /overlap/,
    ],
    [
      'lie beyond the end',
      (header) => {
        const [begin, end] = header[name]!.data_offsets;
        header[name]!.data_offsets = [begin + 2 ** 40, end + 2 ** 40];
      },
      /lies at bytes/,
    ],
    ['take fewer bytes', (header) => header[name]!.data_offsets[1]--, /needs/],
    ['have a huge shape', (header) => header[name]!.shape.push(2 ** 50), /needs/],
    [
      'be called otherwise, twice',
      (header) => {
        header.another = header[name]!;
      },
      /overlap/,
    ],
  ])('that lets a tensor %s', async (_, change, words) => {
    const answer = await toldOf(change);
    expect(answer).toMatch(/^model-file-invalid: /);
    expect(answer).toContain(path.join(folder, file));
    expect(answer).toContain(`"${name}"`);
    expect(answer).toMatch(words);
  });

  it('that leaves a gap where a tensor was', async () => {
    const answer = await toldOf((header) => {
      delete header[name];
    });
    expect(answer).toMatch(/^model-file-invalid: .*transformer\.safetensors: .*no tensor at bytes.*before "/);
  });

  it('that says 2^60 bytes, or more than the file has', async () => {
    const place = path.join(folder, file);
    const bytes = await readFile(place);
    for (const length of [2n ** 60n, BigInt(bytes.length), 99_999_999n]) {
      const wrong = Buffer.from(bytes);
      wrong.writeBigUInt64LE(length);
      await writeFile(place, wrong);
      expect(await told()).toMatch(/^model-file-invalid: .*transformer\.safetensors: .*header/);
    }
    await writeFile(place, bytes);
  });

  it('and is cut off anywhere', async () => {
    const place = path.join(folder, file);
    const bytes = await readFile(place);
    for (const length of [0, 7, 8, 100, bytes.length / 2, bytes.length - 1]) {
      await writeFile(place, bytes.subarray(0, length));
      expect(await told()).toMatch(/^model-file-invalid: .*transformer\.safetensors/);
    }
    await writeFile(place, bytes);
  });

  it('also where it stands before 16 GB', async () => {
    const before = process.resourceUsage().maxRSS;
    const answer = await toldOf((header) => {
      header[name]!.dtype = 'F64';
    }, 2 ** 34);
    expect(answer).toContain(`"${name}"`);
    expect((process.resourceUsage().maxRSS - before) / 1024).toBeLessThan(100);
  });
});
