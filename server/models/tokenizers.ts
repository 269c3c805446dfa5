import { readFile } from 'node:fs/promises';
import {
  type AddedToken,
  ByteLevelPreTokenizer,
  type PreTokenizer,
  SequencePreTokenizer,
  Tokenizer,
  WhitespaceSplitPreTokenizer,
} from '@huggingface/tokenizers';
import * as v from 'valibot';
import { invalidFile } from '../checkpoints/weights-file.ts';
import { readNormalizer } from './normalization.ts';

/**
 * The fields of tokenizer.json and tokenizer_config.json that are read here; the tokenizer reads the rest.
 */
const tokenName = v.union([
  v.string(),
  v.pipe(
    v.looseObject({ content: v.string() }),
    v.transform((t) => t.content),
  ),
]);
const addedToken = v.looseObject({ id: v.number(), content: v.string() });
const tokenizerSchema = v.looseObject({
  added_tokens: v.optional(v.array(addedToken), []),
  model: v.looseObject({}),
  normalizer: v.nullish(v.looseObject({})),
});
const configSchema = v.looseObject({
  eos_token: v.optional(tokenName),
  pad_token: v.optional(tokenName),
  model_max_length: v.optional(v.number()),
});

/** Fallback if the configuration gives no usable length: FLUX.1's text lengths. */
export const defaultLength = { t5: 512, clip: 77 } as const;
/** transformers writes 1e30 for "no limit". */
const sensibleLength = 4096;

/** A tokenizer that returns rows of a fixed length. */
export interface TextTokenizer {
  /** Tokens per row. */
  readonly length: number;
  /** One more than the largest id that it returns. */
  readonly vocabulary: number;
  /** Longer texts are cut off, but keep the end-of-text token. */
  encode(text: string): { readonly ids: BigInt64Array; readonly end: number };
}

/**
 * Special tokens that ACE++'s authors add to T5's (inference/utils.py): the LoRA path has only `{image}`, the
 * FFT path all of them.
 * @param inChannels of the transformer: 448 is FFT
 */
export function authorsTokens(inChannels: 384 | 448): readonly string[] {
  if (inChannels === 384) return ['{image}'];
  const images = Array.from({ length: 9 }, (_, i) => `{image${i + 1}}`);
  return ['<img>', '{image}', '{caption}', '{mask}', '{ref_image}', ...images];
}

/**
 * Reads a tokenizer in Hugging Face's format.
 * @param specialTokens are given the next free ids if the tokenizer lacks them
 * @throws CodedError `model-file-invalid`
 */
export async function openTokenizer(
  file: string,
  configFile: string,
  lengthOtherwise: number,
  specialTokens: readonly string[] = [],
): Promise<TextTokenizer> {
  const json = await readJson(file, tokenizerSchema);
  const config = await readJson(configFile, configSchema);
  const tokenizer = construct(json, config, file);
  const lacking = specialTokens.filter((token) => tokenizer.token_to_id(token) === undefined);
  const complete =
    lacking.length === 0 ? tokenizer : construct(withTokens(json, tokenizer, lacking), config, file);

  const tokensOf = cutter(complete, json, file);

  const length = lengthOf(config, lengthOtherwise);
  const idOf = (token: string | undefined) => (token === undefined ? undefined : complete.token_to_id(token));
  const end = idOf(config.eos_token);
  const padding = idOf(config.pad_token) ?? end;
  if (end === undefined || padding === undefined) {
    throw invalidFile(`${configFile} names no end-of-text token that ${file} has: ${config.eos_token}.`);
  }
  return {
    length,
    vocabulary: 1 + [...complete.get_vocab().values()].reduce((most, id) => Math.max(most, id), padding),
    encode(text) {
      const all = tokensOf(text);
      const ids = all.length > length ? [...all.slice(0, length - 1), end] : all;
      const row = new BigInt64Array(length).fill(BigInt(padding));
      ids.forEach((id, i) => {
        row[i] = BigInt(id);
      });
      return { ids: row, end: Math.max(0, ids.indexOf(end)) };
    },
  };
}

/**
 * The number of tokens per row, read from a tokenizer's configuration alone.
 * @throws CodedError `model-file-invalid`
 */
export async function readLength(configFile: string, lengthOtherwise: number): Promise<number> {
  return lengthOf(await readJson(configFile, configSchema), lengthOtherwise);
}

function lengthOf({ model_max_length: most }: TokenizerConfig, otherwise: number): number {
  return most && most <= sensibleLength ? most : otherwise;
}

type TokenizerJSON = v.InferOutput<typeof tokenizerSchema>;
type TokenizerConfig = v.InferOutput<typeof configSchema>;

function construct(json: TokenizerJSON, config: TokenizerConfig, file: string): Tokenizer {
  try {
    return new Tokenizer(json, config);
  } catch (cause) {
    throw invalidFile(`${file} cannot be used: ${(cause as Error).message}.`, cause);
  }
}

/**
 * Converts a text to token ids, including those at its start and end. The parts are the library's, combined
 * as in huggingface/tokenizers (added_vocabulary.rs, `extract_and_normalize`): the library mistakes a section
 * for an added token if it only becomes one through normalization.
 */
function cutter(tokenizer: Tokenizer, json: TokenizerJSON, file: string): (text: string) => number[] {
  const { model, pre_tokenizer, post_processor } = tokenizer;
  if (!model) throw invalidFile(`${file} has no model.`);
  let normalize: (text: string) => string;
  try {
    normalize = readNormalizer(json.normalizer);
  } catch (cause) {
    throw invalidFile(`${file} has a normalizer that cannot be read: ${(cause as Error).message}.`, cause);
  }
  if (pre_tokenizer) seeSpacesAsUnicode(pre_tokenizer);
  const added = [...tokenizer.get_added_tokens_decoder().values()];
  const splitGiven = splitter(
    added.filter((token) => !token.normalized).map((token) => [token.content, token]),
  );
  const splitNormal = splitter(
    added.filter((token) => token.normalized).map((token) => [normalize(token.content), token]),
  );
  return (text) => {
    const sections = splitGiven(text).flatMap((part) =>
      typeof part === 'string' ? splitNormal(normalize(part)) : [part],
    );
    const tokens = sections.flatMap((section, section_index) => {
      if (typeof section !== 'string') return [section.content];
      const words = pre_tokenizer ? pre_tokenizer.pre_tokenize(section, { section_index }) : [section];
      return model._call(words);
    });
    const complete = post_processor ? post_processor.post_process(tokens).tokens : tokens;
    return complete.map((token) => {
      const id = model.tokens_to_ids.get(token) ?? model.unk_token_id;
      if (id === undefined) throw invalidFile(`${file} has no token for ${JSON.stringify(token)}.`);
      return id;
    });
  };
}

/** Splits a text at added tokens, the longest first, including the spaces around them that some absorb. */
function splitter(
  tokens: readonly (readonly [string, AddedToken])[],
): (text: string) => (string | AddedToken)[] {
  if (tokens.length === 0) return (text) => (text === '' ? [] : [text]);
  const known = new Map(tokens);
  const alternatives = [...known].sort(([a], [b]) => b.length - a.length);
  const pattern = new RegExp(
    alternatives
      .map(([content, { lstrip, rstrip }]) => {
        const literal = `(${content.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')})`;
        return `${lstrip ? space : ''}${literal}${rstrip ? space : ''}`;
      })
      .join('|'),
    'gu',
  );
  return (text) => {
    const parts: (string | AddedToken)[] = [];
    let end = 0;
    for (const match of text.matchAll(pattern)) {
      const content = match.slice(1).find((group) => group !== undefined);
      parts.push(text.slice(end, match.index), known.get(content ?? '')!);
      end = match.index + match[0].length;
    }
    parts.push(text.slice(end));
    return parts.filter((part) => part !== '');
  };
}

const space = '\\p{White_Space}*';

/**
 * JavaScript's `\s` includes U+FEFF and lacks U+0085; the library accounts for that in only some of its
 * patterns.
 */
function seeSpacesAsUnicode(preTokenizer: PreTokenizer): void {
  if (preTokenizer instanceof SequencePreTokenizer) {
    for (const part of preTokenizer.tokenizers) if (part) seeSpacesAsUnicode(part);
  } else if (preTokenizer instanceof ByteLevelPreTokenizer) {
    // GPT-2's pattern (tokenizers, pre_tokenizers/byte_level.rs).
    preTokenizer.pattern =
      /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
  } else if (preTokenizer instanceof WhitespaceSplitPreTokenizer) {
    preTokenizer.pre_tokenize_text = (text) => text.match(/\P{White_Space}+/gu) ?? [];
  }
}

function withTokens(json: TokenizerJSON, tokenizer: Tokenizer, tokens: readonly string[]): TokenizerJSON {
  const first = Math.max(...tokenizer.get_vocab().values()) + 1;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const added = tokens.map((content, i) => ({ id: first + i, content, ...flags }));
  return { ...json, added_tokens: [...json.added_tokens, ...added] };
}

async function readJson<const Schema extends v.GenericSchema>(
  file: string,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  try {
    return v.parse(schema, JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw invalidFile(`${file} is not a tokenizer file: ${(cause as Error).message}.`, cause);
  }
}
