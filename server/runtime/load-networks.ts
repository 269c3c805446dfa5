import type { Provider } from '../../shared/protocol/provider.ts';
import { adapterDefaults } from '../catalogue/adapter-defaults.ts';
import { findAdapter, listAdapters, type ModelEntry } from '../catalogue/catalogue.ts';
import type { WeightsFile } from '../checkpoints/weights-file.ts';
import { type AttentionForm, float32, type Precision } from '../graph/precision.ts';
import { buildCLIP } from '../models/clip.ts';
import { buildFlux, operationsOf } from '../models/flux.ts';
import {
  inChannels,
  type Latent,
  type Networks,
  type PlanarImage,
  type PromptEmbeddings,
} from '../models/networks.ts';
import { buildT5 } from '../models/t5.ts';
import { built } from '../nn/built.ts';
import { type AdaptersInUse, adapterStore } from './adapters.ts';
import { requireFinite } from './finite-results.ts';
import { LRUCache } from './lru-cache.ts';
import type { MemoryPlan } from './memory-plan.ts';
import { openModel } from './open-model.ts';
import { SessionCache } from './session-cache.ts';
import { openTransformer } from './transformer.ts';
import { openVAE } from './vae-tiles.ts';

/** Weights files up to this size are copied into the CPU's fastest layout; larger ones are read in place. */
const copiedBytes = 128 * 2 ** 20;

export interface LoadOptions {
  readonly provider: Provider;
  /** The attention that the provider computes correctly in float32, for text encoders and VAE. */
  readonly attention?: AttentionForm;
  /** Defaults to float32 with the same attention. */
  readonly transformer?: Precision;
  /** The memory plan, if there is one; without it everything stays loaded. */
  readonly plan?: Pick<MemoryPlan, 'inTurn' | 'fittingSequence' | 'tileSide'> | undefined;
}

/**
 * Opens the files of a model. Sessions open when they are first needed, one per size.
 * @throws CodedError `model-missing`, `model-file-invalid`, `provider-unavailable`
 */
export async function loadNetworks(
  model: ModelEntry,
  { provider, attention = 'fused', transformer: precision = { ...float32, attention }, plan }: LoadOptions,
): Promise<Networks> {
  const { files, sizes, tokenizers } = await openModel(model);
  const { transformer: fluxFile, t5, clip, vae: vaeFile } = files;
  const { t5: t5Tokenizer, clip: clipTokenizer } = tokenizers;

  const optionsFor = (file: WeightsFile) => ({ provider, copiesWeights: file.bytes <= copiedBytes });
  const capacityFor = (file: WeightsFile) => (file.bytes <= copiedBytes ? 3 : 1);
  const cacheFor = (file: WeightsFile) => new SessionCache(capacityFor(file), optionsFor(file));
  const sessions = { t5: cacheFor(t5), clip: cacheFor(clip) };
  const adapters = adapterStore(
    { transformer: fluxFile, t5, clip },
    (name) => findAdapter(model, name),
    (adapter) => {
      built(fluxFile, () => buildFlux(fluxFile, 1, 1, [adapter]));
      built(t5, () => buildT5(t5, t5Tokenizer.length, attention, [adapter]));
      built(clip, () => buildCLIP(clip, clipTokenizer.length, attention, [adapter]));
    },
  );
  const transformer = openTransformer({
    file: fluxFile,
    precision,
    session: optionsFor(fluxFile),
    capacity: capacityFor(fluxFile),
    adapters,
  });
  const vae = openVAE(vaeFile, capacityFor(vaeFile), { ...optionsFor(vaeFile), attention }, plan?.tileSide);

  /** By instruction and text encoder adapters. */
  const texts = new LRUCache<string, PromptEmbeddings>(4, (a, b) => a === b);
  // The edit image and, for the fully fine-tuned model, the change image.
  const images = new LRUCache<PlanarImage, Latent>(2, isSameImage);

  const encoding = { type: 'float32', provider } as const;

  async function encodeImage(image: PlanarImage): Promise<Latent> {
    const latent = await vae.encode(image);
    await requireFinite(latent.data, { ...encoding, stage: 'The VAE encoder', file: vaeFile });
    return latent;
  }

  async function encodePrompt(
    instruction: string,
    { forT5, forCLIP }: Readonly<Record<'forT5' | 'forCLIP', AdaptersInUse>>,
  ): Promise<PromptEmbeddings> {
    if (plan?.inTurn) await transformer.release();
    const row = t5Tokenizer.encode(instruction);
    const t5Session = await sessions.t5.get(forT5.names, () =>
      buildT5(t5, t5Tokenizer.length, attention, forT5.opened),
    );
    const { text } = await t5Session.run({ tokens: row.ids, ...forT5.inputs }, 'text');
    await requireFinite(text, { ...encoding, stage: 'The T5 text encoder', file: t5 });
    const { ids, end } = clipTokenizer.encode(instruction);
    const clipSession = await sessions.clip.get(forCLIP.names, () =>
      buildCLIP(clip, clipTokenizer.length, attention, forCLIP.opened),
    );
    const tokens = { tokens: ids, end: BigInt64Array.of(BigInt(end)) };
    const { pooled } = await clipSession.run({ ...tokens, ...forCLIP.inputs }, 'pooled');
    await requireFinite(pooled, { ...encoding, stage: 'The CLIP text encoder', file: clip });
    if (plan?.inTurn) {
      await sessions.t5.release();
      await sessions.clip.release();
    }
    return { text, textTokens: t5Tokenizer.length, pooled };
  }

  return {
    spec: {
      id: model.id,
      family: model.family ?? (sizes.inChannels === inChannels.fft ? 'fft' : 'fill'),
      inChannels: sizes.inChannels,
      maxSequence: model.maxSequence,
      ...(plan && { fittingSequence: plan.fittingSequence }),
    },
    provider,
    encodePrompt: async (instruction, wanted = []) => {
      const [forT5, forCLIP] = [await adapters.use(wanted, 't5'), await adapters.use(wanted, 'clip')];
      const key = JSON.stringify([instruction, forT5.key, forCLIP.key]);
      return texts.get(key, () => encodePrompt(instruction, { forT5, forCLIP }));
    },
    vaeEncode: (image) => images.get(image, () => encodeImage(image)),
    vaeDecode: async (latent) => {
      const image = await vae.decode(latent);
      await requireFinite(image.data, { ...encoding, stage: 'The VAE decoder', file: vaeFile });
      return image;
    },
    listAdapters: () => listAdapters(model),
    adapterDefaults: () => adapterDefaults(model),
    openAdapters: async (names) => {
      const opened = await Promise.all(names.map(adapters.open));
      return opened.flatMap(({ notes }) => notes);
    },
    stepOperations: (tokens) => operationsOf(sizes, tokens, t5Tokenizer.length),
    velocity: async (step) => {
      const velocity = await transformer.velocity(step);
      const stage = `The transformer, at sigma ${step.sigma.toFixed(3)},`;
      await requireFinite(velocity, { stage, file: fluxFile, type: precision.type, provider });
      return velocity;
    },
    release: async () => {
      await transformer.release();
      for (const cache of Object.values(sessions)) await cache.release();
      await vae.release();
    },
  };
}

function isSameImage(a: PlanarImage, b: PlanarImage): boolean {
  if (a.width !== b.width || a.height !== b.height) return false;
  return a.data.every((value, i) => value === b.data[i]);
}
