/**
 * What Hugging Face's tokenizers (huggingface/tokenizers, in Rust) do to a text before they split it. The
 * JavaScript port only approximates some of it; a prompt in Japanese or Greek then gets different tokens.
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
      // One character at a time, so a sigma at the end of a word gets no special form.
      return (text) => Array.from(text, (character) => character.toLowerCase()).join('');
    case 'Strip': {
      // The port’s `trim` treats U+FEFF as white space, but not U+0085.
      const start = config.strip_left ? /^\p{White_Space}+/u : /^(?!)/;
      const end = config.strip_right ? /\p{White_Space}+$/u : /(?!)$/;
      return (text) => text.replace(start, '').replace(end, '');
    }
    default: {
      // The constructor's type only accepts configurations written in TypeScript.
      type Config = ConstructorParameters<typeof SequenceNormalizer>[0];
      const port: Normalizer = new SequenceNormalizer({ type: 'Sequence', normalizers: [json] } as Config);
      return (text) => port.normalize(text);
    }
  }
}

/**
 * Clusters longer than this are looked up character by character (tokenizers, normalizers/precompiled.rs).
 */
const longestCluster = 5;

/**
 * sentencepiece's precompiled character map (spm_precompiled, lib.rs): a double-array trie of byte strings,
 * whose values are offsets of their zero-terminated replacements.
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

  /** The replacement for the shortest prefix that has one; it replaces the whole key, as in the reference. */
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

/** The value of the shortest prefix of `key` in a double array, in darts-clone's layout. */
function findPlace(trie: Uint32Array, key: Uint8Array): number | undefined {
  const offset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let node = offset(trie[0] ?? 0);
  for (const byte of key) {
    if (byte === 0) return undefined;
    node ^= byte;
    const unit = trie[node] ?? 0;
    // Only values have bit 31 set, so no value is mistaken for a label.
    if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
    node ^= offset(unit);
    if ((unit & 0x100) !== 0) return (trie[node] ?? 0) & 0x7fffffff;
  }
  return undefined;
}
