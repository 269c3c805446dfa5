/**
 * `npm run measure:pictures`: what shortcuts do to an edit of pocket. JSON lines on stdout.
 *
 * Fewer bits: pocket's 8 bits are written out as float32, which is full precision here; that file is
 * quantized as a large model's would be; the same edit runs with each. The first-block cache: the same edit
 * with it and without.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  type ModelEntry,
  modelFiles,
  pocket,
  quantizedNetworks,
} from '../../../server/catalogue/catalogue.ts';
import { asFloats } from '../../../server/checkpoints/numbers.ts';
import { projectRoot } from '../../../server/disk/paths.ts';
import { runEdit } from '../../../server/pipeline/edit.ts';
import { readEditInput } from '../../../server/pipeline/input.ts';
import { quantizeFile } from '../../../server/quantize/quantize.ts';
import { blockSize, dequantizeRows } from '../../../server/quantize/rounding.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import type { EditRequest } from '../../../shared/protocol/request.ts';
import { bytesOf, decodeContainer, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { psnr } from '../../reference/formulas.ts';

const seeds = [1, 2, 3, 4];
const thresholds = [0.02, 0.05, 0.1, 0.2];
/** FLUX.1's usual steps; pocket's own are fewer, which leaves less to skip. */
const steps = 28;

async function reportBits(): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-pictures-'));
  try {
    const whole = { ...pocket, id: 'whole', folder };
    cpSync(pocket.folder, folder, { recursive: true });
    for (const name of quantizedNetworks) widen(path.join(folder, modelFiles[name]));
    const expected = await layersOf(whole);
    for (const bits of [8, 4] as const) {
      const at = (name: (typeof quantizedNetworks)[number]) =>
        path.join(folder, `${name}.${bits}bit.safetensors`);
      for (const name of quantizedNetworks)
        await quantizeFile(path.join(folder, modelFiles[name]), at(name), bits);
      const layers = await layersOf({
        ...whole,
        quantized: { transformer: at('transformer'), t5: at('t5') },
      });
      report({ bits }, layers, expected);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function reportCache(): Promise<void> {
  const expected = await layersOf(pocket, { steps });
  for (const firstBlockCache of thresholds) {
    const layers = await layersOf(pocket, { steps, firstBlockCache });
    const reused = layers.map(({ stepsReused }) => stepsReused);
    report({ firstBlockCache, steps, reused }, layers, expected);
  }
}

/** The layers' colours against the expected ones, in dB, one value per seed. */
function report(what: object, layers: readonly Layer[], expected: readonly Layer[]): void {
  const decibels = layers.map(({ colours }, i) => Number(psnr(colours, expected[i]!.colours).toFixed(1)));
  console.log(JSON.stringify({ ...what, decibels }));
}

interface Layer {
  /** Straight, in [0, 1]. */
  readonly colours: Float32Array;
  readonly stepsReused: number | undefined;
}

/** Writes a file's 8-bit layers dequantized to float32. */
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
    const weights = dequantizeRows({ codes: tensor.data, scales: asFloats(scales.data, 'F32') }, columns);
    wide.set(name, { dtype: 'F32', shape: [rows, columns], data: bytesOf(weights) });
  }
  writeFileSync(file, encodeContainer({ metadata, tensors: wide }));
}

/** The page's sample, refilled with each seed. */
async function layersOf(model: ModelEntry, asked: Partial<EditRequest> = {}): Promise<Layer[]> {
  const networks = await loadNetworks(model, { provider: 'cpu' });
  const asset = (name: string): Tensor => {
    const data = Uint8Array.from(readFileSync(path.join(projectRoot, 'plugins/browser/assets', name)));
    return { dtype: 'U8', shape: [data.length], data };
  };
  const layers: Layer[] = [];
  for (const seed of seeds) {
    const request = JSON.stringify({ version: 1, instruction: 'a red circle', seed, ...asked });
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
      async deliver({ pixels, result: { stepsReused } }) {
        const straight = pixels.filter((_, i) => i % 4 < 3);
        layers.push({ colours: Float32Array.from(straight, (value) => value / 255), stepsReused });
      },
    });
  }
  await networks.release();
  return layers;
}

await reportBits();
await reportCache();
