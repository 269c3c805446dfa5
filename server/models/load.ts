import path from 'node:path';
import type { Provider } from '../graph/session.ts';
import { type ModelEntry, modelFiles } from '../weights/catalogue.ts';
import { WeightsFile } from '../weights/file.ts';
import { buildDecoder, buildEncoder, latentChannels } from './autoencoder.ts';
import { buildCLIP } from './clip.ts';
import { buildFlux, fluxSizes, rotaryTables, sinusoidalEmbedding } from './flux.ts';
import type { Latent, Networks, PlanarImage, TextConditioning, TransformerStep } from './networks.ts';
import { SessionCache } from './sessions.ts';
import { buildT5 } from './t5.ts';
import { authorsTokens, defaultLength, openTokenizer } from './tokenizers.ts';

/** Weights files up to here are copied into the CPU's fastest layout; larger ones are read in place. */
const copiedBytes = 128 * 2 ** 20;

/** The autoencoder's factor from pixels to latents. */
const latentFactor = 8;

/**
 * Opens the files of a model. Sessions are opened when they are first needed, one for each size.
 * @throws CodedError `model-missing`, `model-file-invalid`, `provider-unavailable`
 */
export async function loadNetworks(
  model: ModelEntry,
  { provider }: { provider: Provider },
): Promise<Networks> {
  const at = (name: keyof typeof modelFiles) => path.join(model.folder, modelFiles[name]);
  const transformer = await WeightsFile.open(at('transformer'));
  const t5 = await WeightsFile.open(at('t5'));
  const clip = await WeightsFile.open(at('clip'));
  const autoencoder = await WeightsFile.open(at('autoencoder'));
  const sizes = fluxSizes(transformer);
  const channels = latentChannels(autoencoder);
  const t5Tokenizer = await openTokenizer(
    at('t5Tokenizer'),
    at('t5TokenizerConfig'),
    defaultLength.t5,
    authorsTokens(sizes.inputColumns),
  );
  const clipTokenizer = await openTokenizer(
    at('clipTokenizer'),
    at('clipTokenizerConfig'),
    defaultLength.clip,
  );

  const cacheFor = (file: WeightsFile) => {
    const isSmall = file.bytes <= copiedBytes;
    return new SessionCache(isSmall ? 3 : 1, { provider, copiesWeights: isSmall });
  };
  const sessions = {
    transformer: cacheFor(transformer),
    t5: cacheFor(t5),
    clip: cacheFor(clip),
    encoder: cacheFor(autoencoder),
    decoder: cacheFor(autoencoder),
  };

  async function encodeText(instruction: string): Promise<TextConditioning> {
    const row = t5Tokenizer.encode(instruction);
    const t5Session = await sessions.t5.get([], () => buildT5(t5, t5Tokenizer.length));
    const { text } = await t5Session.run({ tokens: row.ids }, 'text');
    const { ids, end } = clipTokenizer.encode(instruction);
    const clipSession = await sessions.clip.get([], () => buildCLIP(clip, clipTokenizer.length));
    const { vector } = await clipSession.run({ tokens: ids, end: BigInt64Array.of(BigInt(end)) }, 'vector');
    return { text, textTokens: t5Tokenizer.length, vector };
  }

  async function encodeImage({ data, width, height }: PlanarImage): Promise<Latent> {
    const build = () => buildEncoder(autoencoder, height, width);
    const session = await sessions.encoder.get([height, width], build);
    const { latent } = await session.run({ image: data }, 'latent');
    return { data: latent, channels, width: width / latentFactor, height: height / latentFactor };
  }

  async function decodeLatent({ data, width, height }: Latent): Promise<PlanarImage> {
    const build = () => buildDecoder(autoencoder, height, width);
    const session = await sessions.decoder.get([height, width], build);
    const { image } = await session.run({ latent: data }, 'image');
    return { data: image, width: width * latentFactor, height: height * latentFactor };
  }

  let tables: ({ readonly key: string } & ReturnType<typeof rotaryTables>) | undefined;

  async function velocity({ input, rows, columns, conditioning, sigma, guidance }: TransformerStep) {
    const { text, textTokens, vector } = conditioning;
    // The graph knows the number of tokens only; how they lie is in the tables.
    const tokens = rows * columns;
    const build = () => buildFlux(transformer, tokens, textTokens);
    const session = await sessions.transformer.get([tokens, textTokens], build);
    const key = [textTokens, rows, columns].join();
    if (tables?.key !== key) tables = { key, ...rotaryTables(sizes.headSize, textTokens, rows, columns) };
    const results = await session.run(
      {
        image: input,
        text,
        vector,
        timestep: sinusoidalEmbedding(sigma),
        guidance: sinusoidalEmbedding(guidance),
        cosine: tables.cosine,
        sine: tables.sine,
      },
      'velocity',
    );
    return results.velocity;
  }

  return {
    spec: {
      id: model.id,
      inputColumns: sizes.inputColumns,
      maxSequence: model.maxSequence,
      defaultSteps: model.defaultSteps,
      defaultGuidance: model.defaultGuidance,
    },
    provider,
    encodeText,
    encodeImage,
    decodeLatent,
    velocity,
    release: async () => {
      for (const cache of Object.values(sessions)) await cache.release();
    },
  };
}
