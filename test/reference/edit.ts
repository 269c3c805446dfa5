import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Networks, PlanarImage } from '../../server/models/networks.ts';
import { runEdit } from '../../server/pipeline/edit.ts';
import { readEditInput } from '../../server/pipeline/input.ts';
import { packedChannels, packInto } from '../../server/pipeline/packing.ts';
import { loadNetworks } from '../../server/runtime/load-networks.ts';
import { decodeContainer } from '../../shared/safetensors.ts';
import { psnr } from './formulas.ts';
import type { LineOf } from './lines.ts';
import { compare, type Row, readArrays } from './measure.ts';
import type { How } from './networks.ts';

const latentLimit = 1e-3;
const pictureLimit = 50;

/** The companion's own edit of the same request: its latents after every step, and the picture before it is put into the document. */
export async function compareEdit(folder: string, line: LineOf<'edit'>, how: How): Promise<Row[]> {
  const expected = readArrays(folder, line.expected);
  const [steps = 0, tokens = 0] = expected.shape('latents');
  const model = {
    id: line.model,
    title: line.model,
    folder: path.join(folder, line.model),
    maxSequence: 4096,
  };
  const networks = await loadNetworks(model, how);
  const { watched, latents, pictures } = watch(networks);
  const input = await readEditInput(decodeContainer(readFileSync(path.join(folder, line.request))));
  await runEdit(watched, input, { emit() {}, async checkpoint() {}, async deliver() {} });
  await networks.release();

  const reference = expected.floats('latents');
  // What enters the first step is the noise.
  const ours = latents.slice(1);
  if (ours.length !== steps) throw new Error(`${ours.length} steps, not ${steps}`);
  const size = tokens * packedChannels;
  const errors = ours.map((latent, step) =>
    compare(latent, reference.subarray(step * size, (step + 1) * size)),
  );
  const worst = errors.reduce((a, b) => (b.relativeError > a.relativeError ? b : a));

  const [, height = 0, width = 0] = expected.shape('picture');
  const [picture] = pictures;
  if (picture?.width !== width || picture.height !== height) throw new Error('a picture of another size');
  const shown = picture.data.map((value) => Math.min(1, Math.max(0, (value + 1) / 2)));
  const decibels = psnr(shown, expected.floats('picture'));
  const { title, configuration } = line;
  return [
    {
      title: `${title}, latents, worst of ${steps} steps`,
      configuration,
      ...worst,
      values: reference.length,
      limit: `relative < ${latentLimit}`,
      ok: errors.every(({ relativeError }) => relativeError < latentLimit),
    },
    {
      title: `${title}, picture, PSNR ${decibels.toFixed(1)} dB`,
      configuration,
      ...compare(shown, expected.floats('picture')),
      limit: `>= ${pictureLimit} dB`,
      ok: decibels >= pictureLimit,
    },
  ];
}

/** Networks that keep the latents before each step and before decoding, packed, and what was decoded. */
function watch(networks: Networks) {
  const latents: Float32Array[] = [];
  const pictures: PlanarImage[] = [];
  const watched: Networks = {
    ...networks,
    velocity(step) {
      const { inChannels } = networks.spec;
      const tokens = step.rows * step.columns;
      const latent = new Float32Array(tokens * packedChannels);
      for (let token = 0; token < tokens; token++) {
        const from = token * inChannels;
        latent.set(step.input.subarray(from, from + packedChannels), token * packedChannels);
      }
      latents.push(latent);
      return networks.velocity(step);
    },
    async vaeDecode(latent) {
      const packed = new Float32Array(latent.data.length);
      packInto(packed, packedChannels, 0, latent);
      latents.push(packed);
      const picture = await networks.vaeDecode(latent);
      pictures.push(picture);
      return picture;
    },
  };
  return { watched, latents, pictures };
}
