/**
 * Maps black-forest-labs/flux's tensor names (model.py, modules/autoencoder.py) to diffusers'. Files of both
 * layouts are read under black-forest-labs' names; where diffusers stores several tensors, their rows are
 * concatenated in order.
 */

/** A stored tensor, or one half of its rows. */
export interface KeyPart {
  readonly name: string;
  readonly half?: 0 | 1;
}

/** Maps each black-forest-labs name to the stored tensors it is made of. */
export type KeyMap = ReadonlyMap<string, readonly KeyPart[]>;

/** The layout of a file with these tensor names. */
export function keyMapOf(names: readonly string[]): KeyMap {
  const doubles = countIndices(names, 'transformer_blocks');
  const singles = countIndices(names, 'single_transformer_blocks');
  if (doubles + singles > 0) return fluxKeyMap(doubles, singles);
  const rename = renamer(names);
  return new Map(names.map((name) => [rename(name), [{ name }]]));
}

function renamer(names: readonly string[]): (name: string) => string {
  if (names.some((name) => name.startsWith('encoder.down_blocks.'))) return vaeNames(names);
  // transformers 5 saves CLIPTextModel without the name of its only member (modeling_clip.py).
  if (names.includes('embeddings.token_embedding.weight')) {
    return (name) => (clipMembers.test(name) ? `text_model.${name}` : name);
  }
  return (name) => name;
}

const clipMembers = /^(?:embeddings|encoder|final_layer_norm)\./;

/** One more than the largest N in names `prefix.N.`... */
export function countIndices(names: Iterable<string>, prefix: string): number {
  let count = 0;
  for (const name of names) {
    if (!name.startsWith(`${prefix}.`)) continue;
    const index = /^\d+(?=\.)/.exec(name.slice(prefix.length + 1));
    if (index) count = Math.max(count, Number(index[0]) + 1);
  }
  return count;
}

/** Linear layers outside the blocks. */
const outer = {
  img_in: 'x_embedder',
  txt_in: 'context_embedder',
  'time_in.in_layer': 'time_text_embed.timestep_embedder.linear_1',
  'time_in.out_layer': 'time_text_embed.timestep_embedder.linear_2',
  'guidance_in.in_layer': 'time_text_embed.guidance_embedder.linear_1',
  'guidance_in.out_layer': 'time_text_embed.guidance_embedder.linear_2',
  'vector_in.in_layer': 'time_text_embed.text_embedder.linear_1',
  'vector_in.out_layer': 'time_text_embed.text_embedder.linear_2',
  'final_layer.linear': 'proj_out',
} as const;

/** FluxTransformerBlock's linear layers; some are joined. */
const doubleLinears = {
  'img_mod.lin': ['norm1.linear'],
  'txt_mod.lin': ['norm1_context.linear'],
  'img_attn.qkv': ['attn.to_q', 'attn.to_k', 'attn.to_v'],
  'txt_attn.qkv': ['attn.add_q_proj', 'attn.add_k_proj', 'attn.add_v_proj'],
  'img_attn.proj': ['attn.to_out.0'],
  'txt_attn.proj': ['attn.to_add_out'],
  'img_mlp.0': ['ff.net.0.proj'],
  'img_mlp.2': ['ff.net.2'],
  'txt_mlp.0': ['ff_context.net.0.proj'],
  'txt_mlp.2': ['ff_context.net.2'],
} as const;

const doubleNorms = {
  'img_attn.norm.query_norm': 'attn.norm_q',
  'img_attn.norm.key_norm': 'attn.norm_k',
  'txt_attn.norm.query_norm': 'attn.norm_added_q',
  'txt_attn.norm.key_norm': 'attn.norm_added_k',
} as const;

/** FluxSingleTransformerBlock's linear layers. */
const singleLinears = {
  'modulation.lin': ['norm.linear'],
  linear1: ['attn.to_q', 'attn.to_k', 'attn.to_v', 'proj_mlp'],
  linear2: ['proj_out'],
} as const;

const singleNorms = { 'norm.query_norm': 'attn.norm_q', 'norm.key_norm': 'attn.norm_k' } as const;

/** A transformer with this many double and single blocks. */
export function fluxKeyMap(doubles: number, singles: number): KeyMap {
  const layout = new Map<string, readonly KeyPart[]>();
  const linear = (to: string, from: readonly KeyPart[]) => {
    for (const kind of ['weight', 'bias']) {
      layout.set(
        `${to}.${kind}`,
        from.map((part) => ({ ...part, name: `${part.name}.${kind}` })),
      );
    }
  };
  const blocks = (
    count: number,
    [to, from]: readonly [string, string],
    linears: Readonly<Record<string, readonly string[]>>,
    norms: Readonly<Record<string, string>>,
  ) => {
    for (let i = 0; i < count; i++) {
      for (const [ours, theirs] of Object.entries(linears)) {
        linear(
          `${to}.${i}.${ours}`,
          theirs.map((name) => ({ name: `${from}.${i}.${name}` })),
        );
      }
      for (const [ours, theirs] of Object.entries(norms)) {
        layout.set(`${to}.${i}.${ours}.scale`, [{ name: `${from}.${i}.${theirs}.weight` }]);
      }
    }
  };
  for (const [ours, theirs] of Object.entries(outer)) linear(ours, [{ name: theirs }]);
  // AdaLayerNormContinuous stores the scale before the shift.
  linear('final_layer.adaLN_modulation.1', [
    { name: 'norm_out.linear', half: 1 },
    { name: 'norm_out.linear', half: 0 },
  ]);
  blocks(doubles, ['double_blocks', 'transformer_blocks'], doubleLinears, doubleNorms);
  blocks(singles, ['single_blocks', 'single_transformer_blocks'], singleLinears, singleNorms);
  return layout;
}

/**
 * AutoencoderKL's names; it counts the decoder's levels from the coarsest, black-forest-labs from the finest.
 */
function vaeNames(names: readonly string[]): (name: string) => string {
  const levels = countIndices(names, 'decoder.up_blocks');
  const attention: Readonly<Record<string, string>> = {
    group_norm: 'norm',
    to_q: 'q',
    to_k: 'k',
    to_v: 'v',
    'to_out.0': 'proj_out',
  };
  return (name) =>
    name
      .replace(/\bdown_blocks\.(\d+)\.resnets\./, 'down.$1.block.')
      .replace(/\bdown_blocks\.(\d+)\.downsamplers\.0\./, 'down.$1.downsample.')
      .replace(/\bup_blocks\.(\d+)\.resnets\./, (_, level) => `up.${levels - 1 - Number(level)}.block.`)
      .replace(
        /\bup_blocks\.(\d+)\.upsamplers\.0\./,
        (_, level) => `up.${levels - 1 - Number(level)}.upsample.`,
      )
      .replace(/\bmid_block\.resnets\.(\d)\./, (_, block) => `mid.block_${Number(block) + 1}.`)
      .replace(
        /\bmid_block\.attentions\.0\.(group_norm|to_[qkv]|to_out\.0)\./,
        (_, part: string) => `mid.attn_1.${attention[part]}.`,
      )
      .replace('.conv_shortcut.', '.nin_shortcut.')
      .replace('.conv_norm_out.', '.norm_out.');
}
