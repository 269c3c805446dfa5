/**
 * Every tensor of a checkpoint must be used, or known to have no effect; anything else means that the file
 * holds a different network.
 */
import type { ByteRange } from '../disk/byte-range.ts';
import type { NetworkName } from './bundle.ts';
import { listed } from './name-list.ts';
import { invalidFile } from './tensor.ts';
import type { WeightsFile } from './weights-file.ts';

/** Activation scales for float8 matrix products, which are not used here; quantizers' markers and notes. */
const harmlessAnywhere =
  /(?:^|\.)(?:scaled_fp8|input_scale|scale_input|comfy_quant)$|^(?:model_ema\.(?:decay|num_updates))$/;

const harmless: Readonly<Record<NetworkName, RegExp>> = {
  transformer: /^$/,
  // One table under two names; the decoder of a full T5; the tokenizer that ComfyUI's files include.
  t5: /^(?:shared\.weight|encoder\.embed_tokens\.weight|decoder\..+|lm_head\.weight|logit_scale|spiece_model)$/,
  // CLIP's other half, and the projection that FLUX does not use (black-forest-labs/flux,
  // modules/conditioner.py: `pooler_output`).
  clip: /^(?:text_projection(?:\.weight)?|logit_scale|(?:text_model\.)?embeddings\.position_ids|vision_model\..+|visual_projection\.weight)$/,
  // Only for training (CompVis/taming-transformers, vqperceptual.py).
  vae: /^loss\..+$/,
};

/** What an unknown name reveals about its file. */
const signs: readonly (readonly [RegExp, string])[] = [
  [
    /\.(?:absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+)$/,
    'it is quantized with bitsandbytes (NF4 or FP4), which is not supported',
  ],
  [
    /\.(?:qweight|wscales|smooth_factor|lora_down|proj_down)$/,
    'it is quantized for Nunchaku, which is not supported',
  ],
  [/^distilled_guidance_layer\./, 'it is Chroma, not FLUX.1'],
  [/\.weight_scale_2$/, 'it is quantized to NVFP4, which is not supported'],
  [/^(?:quant_conv|post_quant_conv)\./, 'it is the VAE of Stable Diffusion, not of FLUX.1'],
  [/^(?:controlnet_|input_hint_block)/, 'it is a ControlNet'],
  [/\.lora_(?:A|B|up|down)\b/, 'it holds a LoRA; add it as an adapter'],
];

/** What the tensor names suggest that a file is, if it is none of the networks. */
export function signOf(names: readonly string[]): string | undefined {
  return signs.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1];
}

/**
 * Checks that the graphs built over a file use all of its tensors.
 * @param taken the byte ranges that the graphs read
 * @throws CodedError `model-file-invalid` with the names of the unused tensors
 */
export function requireAllUsed(file: WeightsFile, network: NetworkName, taken: readonly ByteRange[]): void {
  const starts = new Map<string, number[]>();
  for (const { file: place, offset } of taken) {
    const known = starts.get(place);
    if (known) known.push(offset);
    else starts.set(place, [offset]);
  }
  for (const offsets of starts.values()) offsets.sort((a, b) => a - b);
  const unused = [...file.tensors.values()].filter(({ name, data }) => {
    if (harmlessAnywhere.test(name) || harmless[network].test(name)) return false;
    return !hasWithin(starts.get(data.file) ?? [], data.offset, data.offset + data.length);
  });
  if (unused.length === 0) return;
  const names = unused.map(({ name }) => name);
  const sign = signOf(names);
  const what = sign ? `: ${sign}` : '';
  throw invalidFile(
    `${file.file} has tensors that the network has no use for${what}: ${listed(names)}.`,
    undefined,
    'Use the original file of the network. If these tensors belong to it, report their names.',
  );
}

/** Whether one of the sorted numbers is in [begin, end). */
function hasWithin(sorted: readonly number[], begin: number, end: number): boolean {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < begin) low = middle + 1;
    else high = middle;
  }
  return low < sorted.length && sorted[low]! < end;
}
