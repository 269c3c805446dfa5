/**
 * All-in-one checkpoints: one file with the transformer, the VAE and the text encoders, each under its own
 * prefix. The prefixes are ComfyUI's (comfy/supported_models.py, class Flux; comfy/supported_models_base.py;
 * comfy/sd.py) and Stability's (generative-models, `first_stage_model`, `conditioner.embedders`).
 */
import { invalidFile, type PlainTensor, type StoredTensors } from './tensor.ts';

/** The networks of a model. */
export type NetworkName = 'transformer' | 't5' | 'clip' | 'vae';

const prefixes: Readonly<Record<NetworkName, readonly string[]>> = {
  transformer: ['model.diffusion_model.'],
  t5: ['text_encoders.t5xxl.transformer.', 'conditioner.embedders.1.transformer.', 'text_encoders.t5xxl.'],
  clip: [
    'text_encoders.clip_l.transformer.',
    'conditioner.embedders.0.transformer.',
    'text_encoders.clip_l.',
  ],
  vae: ['first_stage_model.', 'vae.'],
};

/**
 * Prefixes of parts that no model here uses: other text encoders, and a text encoder's extras besides its
 * transformer.
 */
const otherParts = /^(?:text_encoders|conditioner|cond_stage_model|model_ema)\./;

const titles: Readonly<Record<NetworkName, string>> = {
  transformer: 'transformer',
  t5: 'T5 text encoder',
  clip: 'CLIP text encoder',
  vae: 'VAE',
};

function networkOf(key: string): { readonly network: NetworkName; readonly name: string } | undefined {
  for (const [network, known] of Object.entries(prefixes) as [NetworkName, readonly string[]][]) {
    const prefix = known.find((start) => key.startsWith(start));
    if (prefix !== undefined) return { network, name: key.slice(prefix.length) };
  }
  return undefined;
}

/** The networks that a file holds under prefixes; empty if it holds one network under its own names. */
export function networksIn(names: Iterable<string>): ReadonlySet<NetworkName> {
  const networks = new Set<NetworkName>();
  for (const name of names) {
    const network = networkOf(name)?.network;
    if (network) networks.add(network);
  }
  return networks;
}

/**
 * The tensors of one network, under its own names. Tensors that belong to no part keep their names, so that
 * the check for unused tensors finds them.
 * @throws CodedError `model-file-invalid` if the file holds only other networks
 */
export function selectNetwork(stored: StoredTensors, network: NetworkName, file: string): StoredTensors {
  const networks = networksIn(stored.tensors.keys());
  if (networks.size === 0) return stored;
  if (!networks.has(network)) {
    const held = [...networks].map((name) => titles[name]).join(' and ');
    throw invalidFile(`${file} holds a ${held}, but no ${titles[network]}.`);
  }
  const tensors = new Map<string, PlainTensor>();
  for (const [key, tensor] of stored.tensors) {
    const part = networkOf(key);
    const name = part?.name ?? key;
    if (part ? part.network === network : !otherParts.test(key)) tensors.set(name, { ...tensor, name });
  }
  return { ...stored, tensors };
}
