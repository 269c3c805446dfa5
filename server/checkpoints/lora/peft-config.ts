import * as v from 'valibot';
import { adapterInvalid } from './invalid.ts';

const metadataKey = 'lora_adapter_metadata';
const pattern = v.nullish(v.record(v.string(), v.number()), {});
const schema = v.object({
  lora_alpha: v.nullish(v.number()),
  alpha_pattern: pattern,
  use_rslora: v.nullish(v.boolean(), false),
});

/**
 * alpha / rank of a layer whose file has no alpha tensor: 1, unless diffusers wrote PEFT's configuration into
 * the metadata (loaders/lora_base.py, `LORA_ADAPTER_METADATA_KEY`). Each key of `alpha_pattern` is a regular
 * expression for the end of a module's name; the first match wins (peft/utils/other.py, `get_pattern_key`),
 * and null means the default. `rank_pattern` only repeats what the shapes show.
 * @throws CodedError `adapter-invalid`
 */
export function peftFactors(
  metadata: Readonly<Record<string, string>>,
  file: string,
  part: 'transformer' | 'text_encoder' | 'text_encoder_2',
): (module: string, rank: number) => number {
  const text = metadata[metadataKey];
  if (text === undefined) return () => 1;
  const { lora_alpha, alpha_pattern, use_rslora } = parse(text, file, part);
  const patterns = Object.entries(alpha_pattern).map(
    ([key, alpha]) => [expression(key, file), alpha] as const,
  );
  return (module, rank) => {
    const alpha = patterns.find(([fits]) => fits.test(module))?.[1] ?? lora_alpha ?? rank;
    return alpha / (use_rslora ? Math.sqrt(rank) : rank);
  };
}

function parse(
  text: string,
  file: string,
  part: string,
): v.InferOutput<typeof schema> & { alpha_pattern: Record<string, number> } {
  try {
    const entries = Object.entries(JSON.parse(text) as object);
    const own = entries
      .filter(([key]) => key.startsWith(`${part}.`))
      .map(([key, value]) => [key.slice(part.length + 1), value]);
    // A file for a single network has keys without a prefix.
    const plain = entries.filter(([key]) => !key.includes('.'));
    const config = v.parse(schema, Object.fromEntries(own.length > 0 ? own : plain));
    return { ...config, alpha_pattern: config.alpha_pattern ?? {} };
  } catch (cause) {
    throw adapterInvalid(`${file} has "${metadataKey}" in its metadata, which is not a LoRA configuration.`, {
      cause,
    });
  }
}

function expression(key: string, file: string): RegExp {
  try {
    return new RegExp(`^(?:.*\\.)?(?:${key})$`);
  } catch (cause) {
    throw adapterInvalid(
      `${file} has the pattern "${key}" in its metadata, which is not a regular expression.`,
      { cause },
    );
  }
}
