/** Measures a model from its files' headers, to plan memory and time. Nothing here loads ONNX Runtime. */
import type { ModelEntry } from '../catalogue/catalogue.ts';
import type { WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import { buildCLIP } from '../models/clip.ts';
import { buildFlux, type FluxSizes, fluxSizes } from '../models/flux.ts';
import { buildT5 } from '../models/t5.ts';
import { defaultLength } from '../models/tokenizers.ts';
import { buildVAEDecoder } from '../models/vae.ts';
import { built } from '../nn/built.ts';
import { gpuWeights } from './cuda-memory.ts';
import type { ActivationSizes, WeightForm } from './memory-plan.ts';
import { openWeights } from './open-model.ts';

export interface MeasuredModel {
  readonly form: WeightForm;
  readonly sizes: Omit<ActivationSizes, 'bytesPerValue'>;
  readonly flux: FluxSizes;
  /** The files that contain its weights. */
  readonly files: readonly string[];
  /** Total of all weights. */
  readonly bytes: number;
}

/**
 * The sizes needed to plan memory for a model; reads only the headers of its files and builds its graphs.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function measureModel(model: ModelEntry): Promise<MeasuredModel> {
  const { transformer, t5, clip, vae } = await openWeights(model);
  const flux = built(transformer, () => fluxSizes(transformer));
  // The weights are the same for every input size.
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
