import { countIndices, fluxKeyMap } from '../key-map.ts';
import { isParameter, matrixShape } from '../tensor.ts';
import type { WeightsFile } from '../weights-file.ts';

/** Rows `begin`... of a tensor of the transformer, which an adapter knows as rows `from`... of one of its own. */
export interface RowSpan {
  /** black-forest-labs' */
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

/** What a key of an adapter says of a linear layer's weight, or `whole` for another value of the tensor itself. */
export interface AdapterKey {
  readonly target: string;
  readonly member: 'down' | 'up' | 'bias' | 'alpha' | 'whole';
}

/** diffusers', ComfyUI's, PEFT's and swift's names of what holds the transformer. */
const prefixes = /^(?:(?:transformer|diffusion_model|base_model|model)\.)+/;
const downKey = /^(.+)\.(?:lora_A|lora_down|lora\.down)(?:\.default)?\.weight$/;
const upKey = /^(.+)\.(?:lora_B|lora_up|lora\.up)(?:\.default)?\.(weight|bias)$/;
const alphaKey = /^(.+)\.alpha$/;

/**
 * Reads keys of the four styles: diffusers (`transformer.transformer_blocks.0.attn.to_q.lora_A.weight`), kohya and ComfyUI
 * (`lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight` and `.alpha`), black-forest-labs
 * (`double_blocks.0.img_attn.qkv.lora_A.weight`, and whole tensors) and swift (the same after `model.`).
 */
export function keyReader(targets: ReadonlyMap<string, AdapterTarget>): (key: string) => AdapterKey {
  // kohya joins by underscores what may have underscores itself, so its names can only be looked up.
  const kohya = new Map<string, string>();
  for (const name of targets.keys()) {
    const module = /^(.+)\.weight$/.exec(name)?.[1];
    if (module !== undefined) kohya.set(`lora_unet_${module.replaceAll('.', '_')}`, module);
  }
  return (key) => {
    const name = key.replace(prefixes, '');
    const weightOf = (module: string) => `${kohya.get(module) ?? module}.weight`;
    const down = downKey.exec(name);
    if (down) return { target: weightOf(down[1]!), member: 'down' };
    const up = upKey.exec(name);
    if (up) return { target: weightOf(up[1]!), member: up[2] === 'bias' ? 'bias' : 'up' };
    const alpha = alphaKey.exec(name);
    if (alpha) return { target: weightOf(alpha[1]!), member: 'alpha' };
    return { target: name, member: 'whole' };
  };
}

/** All that can be changed in a transformer, by its names in both layouts. */
export function targetsOf(base: WeightsFile): ReadonlyMap<string, AdapterTarget> {
  const targets = new Map<string, AdapterTarget>();
  for (const name of base.names.filter(isParameter)) {
    const parts = base.parts(name);
    const rows = parts.reduce((sum, part) => sum + matrixShape(part)[0], 0);
    const [first] = parts;
    const shape = first!.shape.length > 1 ? [rows, matrixShape(first!)[1]] : [rows];
    targets.set(name, { shape, places: [{ name, begin: 0, rows, from: 0 }] });
  }
  const doubles = countIndices(base.names, 'double_blocks');
  const singles = countIndices(base.names, 'single_blocks');
  for (const [name, parts] of fluxKeyMap(doubles, singles)) {
    const target = targets.get(name);
    if (!target) continue;
    const [rows = 0, ...columns] = target.shape;
    // q, k and v are as wide as what they are made of, and the MLP in a single block takes the rest.
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
  }
  return targets;
}
