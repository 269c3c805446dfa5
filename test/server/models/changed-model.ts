import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { modelFiles } from '../../../server/catalogue/catalogue.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import { bytesOf, decodeContainer, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { tinyModel } from './arrays.ts';

export const networkNames = ['transformer', 't5', 'clip', 'vae'] as const;
export type Network = (typeof networkNames)[number];
export type Tensors = Map<string, Tensor>;

export const floats = (values: readonly number[] | Float32Array, shape: readonly number[]): Tensor => ({
  dtype: 'F32',
  shape,
  data: bytesOf(Float32Array.from(values)),
});

/** A copy of the tiny model whose files a test may change. */
export async function copyOfTiny() {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-changed-'));
  await cp(tinyModel.folder, folder, { recursive: true });
  const model = { ...tinyModel, folder };
  const fileOf = (network: Network) => path.join(folder, modelFiles[network]);

  return {
    model,
    fileOf,
    tensorsOf: async (network: Network): Promise<Tensors> =>
      new Map(decodeContainer(await readFile(fileOf(network))).tensors),
    /** Writes other tensors, runs, and restores the file. */
    async with<T>(
      network: Network,
      change: (tensors: Tensors, metadata: Record<string, string>) => void,
      run: () => Promise<T>,
    ): Promise<T> {
      const bytes = await readFile(fileOf(network));
      const container = decodeContainer(bytes);
      const [tensors, metadata] = [new Map(container.tensors), { ...container.metadata }];
      change(tensors, metadata);
      await writeFile(fileOf(network), encodeContainer({ metadata, tensors }));
      try {
        return await run();
      } finally {
        await writeFile(fileOf(network), bytes);
      }
    },
    /** `loaded`, or the error's code and detail. */
    async answer(): Promise<string> {
      try {
        const networks = await loadNetworks(model, { provider: 'cpu' });
        await networks.release();
        return 'loaded';
      } catch (error) {
        const { code, detail } = error as { code: string; detail: string };
        return `${code}: ${detail}`;
      }
    },
    remove: () => rm(folder, { recursive: true }),
  };
}
