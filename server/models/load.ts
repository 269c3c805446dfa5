import path from 'node:path';
import type { Provider } from '../graph/session.ts';
import { type ModelEntry, modelFiles } from '../weights/catalogue.ts';
import { WeightsFile } from '../weights/file.ts';
import { buildCLIP } from './clip.ts';
import { buildFlux, fluxSizes, rotaryTables, sinusoidalEmbedding } from './flux.ts';
import type { Networks, TextConditioning, TransformerStep } from './networks.ts';
import { SessionCache } from './sessions.ts';
import { buildT5 } from './t5.ts';
import { openAutoencoder } from './tiles.ts';
import { authorsTokens, defaultLength, openTokenizer } from './tokenizers.ts';

/** Weights files up to here are copied into the CPU's fastest layout; larger ones are read in place. */
const copiedBytes = 128 * 2 ** 20;

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
  const autoencoderFile = await WeightsFile.open(at('autoencoder'));
  const sizes = fluxSizes(transformer);
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

  const optionsFor = (file: WeightsFile) => ({ provider, copiesWeights: file.bytes <= copiedBytes });
  const capacityFor = (file: WeightsFile) => (file.bytes <= copiedBytes ? 3 : 1);
  const cacheFor = (file: WeightsFile) => new SessionCache(capacityFor(file), optionsFor(file));
  const sessions = {
    transformer: cacheFor(transformer),
    t5: cacheFor(t5),
    clip: cacheFor(clip),
  };
  const autoencoder = openAutoencoder(
    autoencoderFile,
    capacityFor(autoencoderFile),
    optionsFor(autoencoderFile),
  );

  async function encodeText(instruction: string): Promise<TextConditioning> {
    const row = t5Tokenizer.encode(instruction);
    const t5Session = await sessions.t5.get([], () => buildT5(t5, t5Tokenizer.length));
    const { text } = await t5Session.run({ tokens: row.ids }, 'text');
    const { ids, end } = clipTokenizer.encode(instruction);
    const clipSession = await sessions.clip.get([], () => buildCLIP(clip, clipTokenizer.length));
    const { vector } = await clipSession.run({ tokens: ids, end: BigInt64Array.of(BigInt(end)) }, 'vector');
    return { text, textTokens: t5Tokenizer.length, vector };
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
    encodeImage: autoencoder.encode,
    decodeLatent: autoencoder.decode,
    velocity,
    release: async () => {
      for (const cache of Object.values(sessions)) await cache.release();
      await autoencoder.release();
    },
  };
}
