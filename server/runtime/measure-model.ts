/** What the headers of a model's files tell, read without ONNX Runtime: the companion plans edits with it. */
import path from 'node:path';
import type { ModelFamily } from '../../shared/conventions.ts';
import { type ModelEntry, modelFiles } from '../catalogue/catalogue.ts';
import { WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import { buildCLIP } from '../models/clip.ts';
import { buildFlux, type FluxSizes, fluxSizes } from '../models/flux.ts';
import { inChannels } from '../models/networks.ts';
import { buildT5 } from '../models/t5.ts';
import { defaultLength } from '../models/tokenizers.ts';
import { buildVAEDecoder } from '../models/vae.ts';
import { built } from '../nn/built.ts';
import { computedFile } from '../quantize/quantized-cache.ts';
import { gpuWeights } from './cuda-memory.ts';
import type { ActivationSizes, WeightForm } from './memory-plan.ts';

export interface MeasuredModel {
  readonly form: WeightForm;
  readonly sizes: Omit<ActivationSizes, 'bytesPerValue'>;
  readonly flux: FluxSizes;
  /** Where its weights lie. */
  readonly files: readonly string[];
  /** Of all of them. */
  readonly bytes: number;
}

/** What a model's weights were trained as: of a model that the hub publishes, the transformer's columns tell. */
export function familyOf({ family }: ModelEntry, sizes: FluxSizes): ModelFamily {
  return family ?? (sizes.inChannels === inChannels.fft ? 'fft' : 'fill');
}

/** @throws CodedError `model-missing`, `model-file-invalid` */
export async function openWeights(model: ModelEntry) {
  const at = (name: keyof typeof modelFiles) => path.join(model.folder, modelFiles[name]);
  return {
    transformer: await WeightsFile.open(
      model.quantized?.transformer ?? (await computedFile(at('transformer'))),
      'transformer',
    ),
    t5: await WeightsFile.open(model.quantized?.t5 ?? at('t5'), 't5'),
    clip: await WeightsFile.open(at('clip'), 'clip'),
    vae: await WeightsFile.open(at('vae'), 'vae'),
  };
}

/**
 * What planning memory needs to know of a model; only the headers of its files are read, and its graphs built.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function measureModel(model: ModelEntry): Promise<MeasuredModel> {
  const { transformer, t5, clip, vae } = await openWeights(model);
  const flux = built(transformer, () => fluxSizes(transformer));
  // The weights are the same whatever goes through them.
  const weights = (file: WeightsFile, build: () => Model) =>
    gpuWeights(built(file, build).weights.map(({ length }) => length));
  return {
    form: {
      id: model.id,
      transformer: weights(transformer, () => buildFlux(transformer, 1, 1)),
      t5: weights(t5, () => buildT5(t5, 1)),
      clip: weights(clip, () => buildCLIP(clip, 1)),
      vae: weights(vae, () => buildVAEDecoder(vae, 1, 1)),
    },
    sizes: { hiddenSize: flux.hiddenSize, textTokens: defaultLength.t5, maxSequence: model.maxSequence },
    flux,
    files: [transformer, t5, clip, vae].flatMap(({ files }) => files),
    bytes: transformer.bytes + t5.bytes + clip.bytes + vae.bytes,
  };
}
