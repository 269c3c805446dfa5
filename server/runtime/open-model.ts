/** Opens the files of a model and checks them against each other. Nothing here loads ONNX Runtime. */
import path from 'node:path';
import { type ModelEntry, modelFiles } from '../catalogue/catalogue.ts';
import type { NetworkName } from '../checkpoints/bundle.ts';
import { requireAllUsed } from '../checkpoints/unused.ts';
import { invalidFile, WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import { buildCLIP, checkCLIP } from '../models/clip.ts';
import { buildFlux, type FluxSizes, fluxSizes } from '../models/flux.ts';
import { buildT5, checkT5 } from '../models/t5.ts';
import { authorsTokens, defaultLength, openTokenizer } from '../models/tokenizers.ts';
import { buildVAEDecoder, buildVAEEncoder, latentChannels, latentFactor } from '../models/vae.ts';
import { built } from '../nn/built.ts';
import { computedFile } from '../quantize/quantized-cache.ts';

/**
 * Opens a model's files and tokenizers. Builds each graph once, so that a file that is incomplete or belongs
 * to another model is refused before anything large is loaded.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function openModel(model: ModelEntry) {
  const files = await openWeights(model);
  const { transformer: fluxFile, t5, clip, vae: vaeFile } = files;
  const sizes = built(fluxFile, () => fluxSizes(fluxFile));
  const tokenizers = await openTokenizers(model, sizes);
  const { t5: t5Tokenizer, clip: clipTokenizer } = tokenizers;

  checked(
    'transformer',
    fluxFile,
    built(fluxFile, () => buildFlux(fluxFile, 1, 1)),
  );
  built(t5, () => checkT5(t5, t5Tokenizer.vocabulary));
  built(clip, () => checkCLIP(clip, clipTokenizer.vocabulary));
  const t5Model = gives(
    [t5Tokenizer.length, sizes.contextSize],
    `"txt_in.weight" of ${fluxFile.file}`,
    t5,
    () => buildT5(t5, t5Tokenizer.length),
  );
  checked('t5', t5, t5Model);
  const clipModel = gives(
    [1, sizes.pooledSize],
    `"vector_in.in_layer.weight" of ${fluxFile.file}`,
    clip,
    () => buildCLIP(clip, clipTokenizer.length),
  );
  checked('clip', clip, clipModel);
  // Neither side is 1, because 1 would be compatible with any other size.
  const [height, width] = [2 * latentFactor, 3 * latentFactor];
  const factor = `the factor ${latentFactor}`;
  const channels = built(vaeFile, () => latentChannels(vaeFile));
  const encoder = gives([1, channels, 2, 3], factor, vaeFile, () => buildVAEEncoder(vaeFile, height, width));
  const decoder = gives([1, 3, height, width], factor, vaeFile, () => buildVAEDecoder(vaeFile, 2, 3));
  checked('vae', vaeFile, encoder, decoder);
  return { files, sizes, tokenizers };
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

/** @throws CodedError `model-missing`, `model-file-invalid` */
export async function openTokenizers({ folder }: ModelEntry, { inChannels }: FluxSizes) {
  const at = (name: keyof typeof modelFiles) => path.join(folder, modelFiles[name]);
  return {
    t5: await openTokenizer(
      at('t5Tokenizer'),
      at('t5TokenizerConfig'),
      defaultLength.t5,
      authorsTokens(inChannels),
    ),
    clip: await openTokenizer(at('clipTokenizer'), at('clipTokenizerConfig'), defaultLength.clip),
  };
}

/** A tensor that none of a network's graphs uses means that the file belongs to another network. */
function checked(network: NetworkName, file: WeightsFile, ...models: readonly Model[]): void {
  requireAllUsed(
    file,
    network,
    models.flatMap(({ weights }) => weights),
  );
}

/** Checks that a network's output is what the others expect. */
function gives(wanted: readonly number[], wantedBy: string, file: WeightsFile, build: () => Model): Model {
  const model = built(file, build);
  const { name = '', shape = [] } = model.outputs[0] ?? {};
  if (shape.join() === wanted.join()) return model;
  throw invalidFile(
    `${file.file} gives "${name}" as [${shape.join(', ')}], but ${wantedBy} wants [${wanted.join(', ')}].`,
  );
}
