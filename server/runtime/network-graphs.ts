import type { ModelEntry } from '../catalogue/catalogue.ts';
import type { WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import { openLength } from '../graph/value.ts';
import { buildCLIP } from '../models/clip.ts';
import { buildFlux, fluxSizes } from '../models/flux.ts';
import { buildT5 } from '../models/t5.ts';
import { buildVAEDecoder, buildVAEEncoder, latentFactor } from '../models/vae.ts';
import { built } from '../nn/built.ts';
import { openTokenizers, openWeights } from './open-model.ts';

/** Side of the picture that the VAE's graphs are built for, in pixels. */
const side = 512;

export const networkNames = ['flux', 't5', 'clip', 'vae-encoder', 'vae-decoder'] as const;
export type NetworkName = (typeof networkNames)[number];

/**
 * The graph of a network as the CPU runs it, in float32 with fused attention, over a model's files, of which
 * only the headers are read.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function graphOf(
  name: NetworkName,
  model: ModelEntry,
): Promise<{ graph: Model; file: WeightsFile }> {
  const { transformer, t5, clip, vae } = await openWeights(model);
  const over = (file: WeightsFile, build: () => Model) => ({ graph: built(file, build), file });
  if (name === 'vae-encoder') return over(vae, () => buildVAEEncoder(vae, side, side));
  if (name === 'vae-decoder')
    return over(vae, () => buildVAEDecoder(vae, side / latentFactor, side / latentFactor));
  const lengths = await openTokenizers(
    model,
    built(transformer, () => fluxSizes(transformer)),
  );
  switch (name) {
    case 'flux':
      return over(transformer, () => buildFlux(transformer, openLength, lengths.t5.length));
    case 't5':
      return over(t5, () => buildT5(t5, lengths.t5.length));
    case 'clip':
      return over(clip, () => buildCLIP(clip, lengths.clip.length));
  }
}
