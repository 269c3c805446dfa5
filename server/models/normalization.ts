/**
 * What the tokenizers of Hugging Face (huggingface/tokenizers, in Rust) do to a text before they cut it. The JavaScript
 * port stands in for some of it with what comes close; a prompt in Japanese or Greek then gives other tokens.
 */
import { type Normalizer, SequenceNormalizer } from '@huggingface/tokenizers';
import * as v from 'valibot';

const normalizerSchema = v.looseObject({
  type: v.string(),
  normalizers: v.optional(v.array(v.unknown())),
  precompiled_charsmap: v.optional(v.nullable(v.string())),
  strip_left: v.optional(v.boolean()),
  strip_right: v.optional(v.boolean()),
});

type Normalize = (text: string) => string;

/** The `normalizer` of a tokenizer.json as a function. */
export function readNormalizer(json: unknown): Normalize {
  if (json === null || json === undefined) return (text) => text;
  const config = v.parse(normalizerSchema, json);
  switch (config.type) {
    case 'Sequence': {
      const parts = (config.normalizers ?? []).map(readNormalizer);
      return (text) => parts.reduce((changed, part) => part(changed), text);
    }
    case 'Precompiled':
      return config.precompiled_charsmap
        ? readCharacterMap(Buffer.from(config.precompiled_charsmap, 'base64'))
        : (text) => text;
    case 'Lowercase':
      // One character at a time: that a sigma ends a word is not seen.
      return (text) => Array.from(text, (character) => character.toLowerCase()).join('');
    case 'Strip': {
      // The port’s `trim` takes U+FEFF for a space, and U+0085 for none.
      const start = config.strip_left ? /^\p{White_Space}+/u : /^(?!)/;
      const end = config.strip_right ? /\p{White_Space}+$/u : /(?!)$/;
      return (text) => text.replace(start, '').replace(end, '');
    }
    default: {
      // The constructor's type knows only configurations that were written down in TypeScript.
      type Config = ConstructorParameters<typeof SequenceNormalizer>[0];
      const port: Normalizer = new SequenceNormalizer({ type: 'Sequence', normalizers: [json] } as Config);
      return (text) => port.normalize(text);
    }
  }
}

/** Longer clusters of letters and marks are looked up letter by letter (tokenizers, normalizers/precompiled.rs). */
const longestCluster = 5;

/**
 * sentencepiece's precompiled character map (spm_precompiled, lib.rs): a double-array trie of byte strings, whose values
 * point to their replacements, each ended by a zero byte.
 */
function readCharacterMap(bytes: Uint8Array): Normalize {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trieBytes = view.getUint32(0, true);
  if (4 + trieBytes > bytes.length) {
    throw new Error(`a character map of ${bytes.length} bytes cannot hold a trie of ${trieBytes}`);
  }
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + i * 4, true));
  const replacements = bytes.subarray(4 + trieBytes);
  const clusters = new Intl.Segmenter('und', { granularity: 'grapheme' });
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const found = new Map<string, string | undefined>();

  /** Of the shortest prefix that has one. It stands for the whole key, as in the reference. */
  function lookUp(key: string): string | undefined {
    if (found.has(key)) return found.get(key);
    const place = findPlace(trie, encoder.encode(key));
    const replacement =
      place === undefined
        ? undefined
        : decoder.decode(replacements.subarray(place, replacements.indexOf(0, place)));
    found.set(key, replacement);
    return replacement;
  }

  return (text) => {
    let changed = '';
    for (const { segment } of clusters.segment(text)) {
      const whole = encoder.encode(segment).length <= longestCluster ? lookUp(segment) : undefined;
      if (whole !== undefined) changed += whole;
      else for (const character of segment) changed += lookUp(character) ?? character;
    }
    return changed;
  };
}

/** The value of the shortest prefix of `key` in a double array as darts-clone lays it out. */
function findPlace(trie: Uint32Array, key: Uint8Array): number | undefined {
  const offset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let node = offset(trie[0] ?? 0);
  for (const byte of key) {
    if (byte === 0) return undefined;
    node ^= byte;
    const unit = trie[node] ?? 0;
    // Bit 31 is set in values only, so that no value passes for a label.
    if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
    node ^= offset(unit);
    if ((unit & 0x100) !== 0) return (trie[node] ?? 0) & 0x7fffffff;
  }
  return undefined;
}
