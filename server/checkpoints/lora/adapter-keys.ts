/**
 * The names that trainers give to an adapter's tensors, and where each is defined: diffusers and PEFT
 * (loaders/lora_pipeline.py), kohya (kohya-ss/sd-scripts, networks/lora_flux.py: `lora_unet`, `lora_te1` for
 * CLIP, `lora_te3` for T5), OneTrainer (`lora_transformer`, `lora_te1`, `lora_te2` for T5;
 * Nerogar/OneTrainer, modules/modelSetup), LyCORIS (kohya.py and wrapper.py: `lycoris`), ComfyUI
 * (comfy/lora.py), XLabs (diffusers, lora_conversion_utils.py, `_convert_xlabs_flux_lora_to_diffusers`) and
 * swift (after `model.`).
 */
import { countIndices, fluxKeyMap } from '../key-map.ts';
import { isParameter, matrixShape } from '../tensor.ts';
import type { WeightsFile } from '../weights-file.ts';

/** The networks that adapters change. */
export type AdaptedNetwork = 'transformer' | 'clip' | 't5';
export const adaptedNetworks: readonly AdaptedNetwork[] = ['transformer', 'clip', 't5'];

/** Rows from `begin` of a network's tensor, which are rows from `from` of one of the adapter's. */
export interface RowSpan {
  /** black-forest-labs' name. */
  readonly name: string;
  readonly begin: number;
  readonly rows: number;
  readonly from: number;
}

/** What an adapter may change under one name. */
export interface AdapterTarget {
  readonly shape: readonly number[];
  readonly places: readonly RowSpan[];
}

export type Targets = ReadonlyMap<string, AdapterTarget>;

/** The role of a key within its layer; `whole` replaces a tensor of the network. */
const members = {
  down: /\.(?:lora_A|lora_down|lora\.down|lora_linear_layer\.down)(?:\.default)?\.weight$|_lora\.down\.weight$|\.down\.weight$/,
  up: /\.(?:lora_B|lora_up|lora\.up|lora_linear_layer\.up)(?:\.default)?\.weight$|_lora\.up\.weight$|\.up\.weight$/,
  bias: /\.(?:lora_B|lora_up)(?:\.default)?\.bias$/,
  alpha: /\.alpha$/,
  magnitude: /\.(?:dora_scale|lora_magnitude_vector(?:\.default)?(?:\.weight)?)$/,
  hadamardUp1: /\.hada_w1_a$/,
  hadamardDown1: /\.hada_w1_b$/,
  hadamardUp2: /\.hada_w2_a$/,
  hadamardDown2: /\.hada_w2_b$/,
  left: /\.lokr_w1$/,
  leftUp: /\.lokr_w1_a$/,
  leftDown: /\.lokr_w1_b$/,
  right: /\.lokr_w2$/,
  rightUp: /\.lokr_w2_a$/,
  rightDown: /\.lokr_w2_b$/,
  diff: /\.(?:diff|w_norm)$/,
  diffBias: /\.(?:diff_b|b_norm)$/,
  set: /\.set_weight$/,
} as const;

export type Member = keyof typeof members | 'whole';

export interface AdapterKey {
  readonly network: AdaptedNetwork;
  /** As a key of `Targets`. */
  readonly target: string;
  readonly member: Member;
}

/** Prefixes by network; the first match wins, so longer ones come first. */
const dotted: readonly (readonly [RegExp, AdaptedNetwork])[] = [
  [/^text_encoders\.clip_l\.transformer\./, 'clip'],
  [/^text_encoders\.t5xxl\.transformer\./, 't5'],
  [/^text_encoder_2\./, 't5'],
  [/^text_encoder\./, 'clip'],
];
const transformerPrefix = /^(?:(?:transformer|diffusion_model|base_model|model|unet)\.)+/;
const underscored: Readonly<Record<AdaptedNetwork, readonly string[]>> = {
  transformer: ['lora_unet_', 'lora_transformer_', 'lycoris_', 'lycoris_unet_', 'lycoris_transformer_'],
  clip: ['lora_te_', 'lora_te1_', 'lycoris_te1_', 'lycoris_te_'],
  t5: ['lora_te3_', 'lora_te2_', 'lycoris_te3_', 'lycoris_te2_'],
};

/** Reads keys of every style; `undefined` if no network has such a layer. */
export function keyReader(
  targets: Readonly<Partial<Record<AdaptedNetwork, Targets>>>,
): (key: string) => AdapterKey | undefined {
  // Names joined by underscores contain underscores themselves, so they can only be looked up.
  const known = new Map<string, Pick<AdapterKey, 'network' | 'target'>>();
  for (const network of adaptedNetworks) {
    for (const target of targets[network]?.keys() ?? []) {
      const module = /^(.+)\.(?:weight|scale)$/.exec(target)?.[1];
      if (module === undefined) continue;
      for (const prefix of underscored[network]) {
        known.set(prefix + module.replaceAll('.', '_'), { network, target });
      }
    }
  }

  function locate(module: string): Pick<AdapterKey, 'network' | 'target'> | undefined {
    const found = known.get(module);
    if (found) return found;
    const { network, name } = split(module);
    const xlabs = xlabsModule(name);
    for (const candidate of xlabs ? [xlabs] : [name, `text_model.${name}`]) {
      for (const kind of ['weight', 'scale']) {
        const target = `${candidate}.${kind}`;
        if (targets[network]?.has(target)) return { network, target };
      }
    }
    return undefined;
  }

  return (key) => {
    for (const [member, pattern] of Object.entries(members) as [keyof typeof members, RegExp][]) {
      const suffix = pattern.exec(key);
      const place = suffix && locate(key.slice(0, suffix.index));
      if (!place) continue;
      if (member !== 'set') return { ...place, member };
      return { ...place, member: 'whole' };
    }
    const { network, name } = split(key);
    return targets[network]?.has(name) ? { network, target: name, member: 'whole' } : undefined;
  };
}

/** Whether a key is for a text encoder, even one that no model here has. */
export function isForTextEncoder(key: string): boolean {
  return /^(?:text_encoders?(?:_\d)?\.|(?:lora|lycoris)_te\d?_)/.test(key);
}

function split(key: string): { readonly network: AdaptedNetwork; readonly name: string } {
  const bare = key.replace(/^base_model\.model\./, '');
  for (const [prefix, network] of dotted) {
    if (prefix.test(bare)) return { network, name: bare.replace(prefix, '') };
  }
  return { network: 'transformer', name: bare.replace(transformerPrefix, '') };
}

/** `double_blocks.0.processor.qkv_lora1`: 1 is the image stream and 2 the text stream. */
function xlabsModule(name: string): string | undefined {
  const double = /^double_blocks\.(\d+)\.processor\.(qkv|proj)_lora([12])$/.exec(name);
  if (double) return `double_blocks.${double[1]}.${double[3] === '1' ? 'img' : 'txt'}_attn.${double[2]}`;
  const single = /^single_blocks\.(\d+)\.processor\.(qkv|proj)(?:_lora)?$/.exec(name);
  if (single) return `single_blocks.${single[1]}.${single[2] === 'qkv' ? 'qkv' : 'linear2'}`;
  return undefined;
}

/** Everything an adapter can change in a transformer, by its names in both layouts. */
export function transformerTargets(base: WeightsFile): Targets {
  const targets = ownTargets(base);
  const doubles = countIndices(base.names, 'double_blocks');
  const singles = countIndices(base.names, 'single_blocks');
  for (const [name, parts] of fluxKeyMap(doubles, singles)) {
    const target = targets.get(name);
    if (!target) continue;
    const [rows = 0, ...columns] = target.shape;
    // q, k and v are as wide as their input, and in a single block the MLP takes the rest.
    const width = targets.get(name.replace(/bias$/, 'weight'))?.shape[1] ?? 0;
    const sizes =
      parts.length === 4 ? [width, width, width, rows - 3 * width] : parts.map(() => rows / parts.length);
    let begin = 0;
    parts.forEach((part, i) => {
      const size = sizes[i]!;
      const place = { name, begin, rows: size, from: size * (part.half ?? 0) };
      const { places = [] } = targets.get(part.name) ?? {};
      const count = places.reduce((sum, other) => sum + other.rows, size);
      targets.set(part.name, { shape: [count, ...columns], places: [...places, place] });
      begin += size;
    });
    const block = /^(single_blocks\.\d+)\.linear1\.weight$/.exec(name)?.[1];
    if (block) {
      // XLabs adapts q, k and v of a single block, without its MLP.
      const places = [{ name, begin: 0, rows: 3 * width, from: 0 }];
      targets.set(`${block}.qkv.weight`, { shape: [3 * width, ...columns], places });
    }
  }
  return targets;
}

/** A text encoder's linear layers, biases and norms. Not its tables, which are only looked up. */
export function textEncoderTargets(base: WeightsFile): Targets {
  const targets = ownTargets(base);
  for (const name of targets.keys()) {
    if (/(?:embedding|embed_tokens|shared|relative_attention_bias)\.weight$/.test(name)) targets.delete(name);
  }
  return targets;
}

function ownTargets(base: WeightsFile): Map<string, AdapterTarget> {
  const targets = new Map<string, AdapterTarget>();
  for (const name of base.names.filter(isParameter)) {
    const parts = base.parts(name);
    const rows = parts.reduce((sum, part) => sum + matrixShape(part)[0], 0);
    const [first] = parts;
    const shape = first!.shape.length > 1 ? [rows, matrixShape(first!)[1]] : [rows];
    targets.set(name, { shape, places: [{ name, begin: 0, rows, from: 0 }] });
  }
  return targets;
}
