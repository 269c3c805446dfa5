/**
 * `npm run measure:quantize -- pictures`: what 8 and 4 bits do to an edit of pocket. Pocket's 8 bits are written out as
 * float32, which is full precision here; that file is quantized as a large model's would be; the same edit runs with each.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { loadNetworks } from '../../../server/models/load.ts';
import { projectRoot } from '../../../server/paths.ts';
import { runEdit } from '../../../server/pipeline/edit.ts';
import { readEditInput } from '../../../server/pipeline/input.ts';
import { type ModelEntry, modelFiles, pocket, quantizedNetworks } from '../../../server/weights/catalogue.ts';
import { asFloats } from '../../../server/weights/numbers.ts';
import { quantizeFile } from '../../../server/weights/quantize.ts';
import { type Bits, blockSize, unroundRows } from '../../../server/weights/rounding.ts';
import { bytesOf, decodeContainer, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { psnr } from '../../reference/formulas.ts';

export interface PictureReport {
  readonly bits: Bits;
  /** Of the layers' colours against full precision, dB, one for each seed. */
  readonly decibels: readonly number[];
}

const seeds = [1, 2, 3, 4];

export async function measurePictures(): Promise<PictureReport[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-pictures-'));
  try {
    const whole = { ...pocket, id: 'whole', folder };
    cpSync(pocket.folder, folder, { recursive: true });
    for (const name of quantizedNetworks) widen(path.join(folder, modelFiles[name]));
    const expected = await layersOf(whole);
    const reports: PictureReport[] = [];
    for (const bits of [8, 4] as const) {
      const at = (name: (typeof quantizedNetworks)[number]) =>
        path.join(folder, `${name}.${bits}bit.safetensors`);
      for (const name of quantizedNetworks)
        await quantizeFile(path.join(folder, modelFiles[name]), at(name), bits);
      const layers = await layersOf({
        ...whole,
        quantized: { transformer: at('transformer'), t5: at('t5') },
      });
      reports.push({
        bits,
        decibels: layers.map((layer, i) => Number(psnr(layer, expected[i]!).toFixed(1))),
      });
    }
    return reports;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes the 8-bit layers of a file as the float32 numbers that they stand for. */
function widen(file: string): void {
  const { metadata, tensors } = decodeContainer(readFileSync(file));
  const wide = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const scales = tensors.get(`${name}.scales`);
    if (name.endsWith('.scales')) continue;
    if (!scales) {
      wide.set(name, tensor);
      continue;
    }
    const [rows = 0, blocks = 0] = tensor.shape;
    const columns = blocks * blockSize;
    const weights = unroundRows({ codes: tensor.data, scales: asFloats(scales.data, 'F32') }, columns);
    wide.set(name, { dtype: 'F32', shape: [rows, columns], data: bytesOf(weights) });
  }
  writeFileSync(file, encodeContainer({ metadata, tensors: wide }));
}

/** The sample of the page, filled anew with each seed: the colours of its layer in [0, 1]. */
async function layersOf(model: ModelEntry): Promise<Float32Array[]> {
  const networks = await loadNetworks(model, { provider: 'cpu' });
  const asset = (name: string): Tensor => {
    const data = Uint8Array.from(readFileSync(path.join(projectRoot, 'plugins/browser/assets', name)));
    return { dtype: 'U8', shape: [data.length], data };
  };
  const layers: Float32Array[] = [];
  for (const seed of seeds) {
    const request = JSON.stringify({ version: 1, instruction: 'a red circle', seed });
    const input = await readEditInput({
      metadata: { request },
      tensors: new Map([
        ['edit.jpg', asset('sample-picture.jpg')],
        ['mask.png', asset('sample-mask.png')],
      ]),
    });
    await runEdit(networks, input, {
      emit() {},
      async checkpoint() {},
      async deliver({ pixels }) {
        layers.push(
          Float32Array.from(
            pixels.filter((_, i) => i % 4 < 3),
            (value) => value / 255,
          ),
        );
      },
    });
  }
  await networks.release();
  return layers;
}
