import { createHash } from 'node:crypto';
import { access, open, stat } from 'node:fs/promises';
import path from 'node:path';
import type { NetworkName } from '../checkpoints/bundle.ts';
import { indexSuffix, isGGUF, openStored, resolveFile } from '../checkpoints/header.ts';
import type { StoredTensors } from '../checkpoints/tensor.ts';
import { homeFolder } from '../disk/paths.ts';
import { readAt } from '../disk/read-range.ts';
import { becomesSmaller, isInBlocks } from './quantize.ts';
import type { Bits } from './rounding.ts';

/** Increase this when the same source would give different bytes. */
const version = 1;

/**
 * Where the quantized form of a weights file is, or will be: `quantized/<name>.<identity>.<bits>bit.safetensors` in the data folder.
 * The identity is a hash of the header, size and modification time of the file or of each shard. It does not cover the content:
 * reading 24 GB takes a minute or more, and would be needed whenever models are listed.
 * Returns the file itself if nothing in it can be quantized, as in float8; returns `computedFile` for GGUF blocks that already have as
 * few bits.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function quantizedFile(source: string, bits: Bits, network?: NetworkName): Promise<string> {
  const { file, stored } = await openStored(source, network);
  if (becomesSmaller(stored, bits)) return cached(file, stored, `${bits}bit`);
  return isInBlocks(stored) ? cached(file, stored, 'blocks') : file;
}

/**
 * The file that graphs are built over: for GGUF blocks, the converted file (which may not exist yet); otherwise the file itself.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function computedFile(source: string): Promise<string> {
  const resolved = await resolveFile(source);
  if (!isGGUF(resolved)) return resolved;
  const { file, stored } = await openStored(resolved);
  return isInBlocks(stored) ? cached(file, stored, 'blocks') : file;
}

/** The file that must be written before a graph can be built, or undefined if it exists. */
export async function unwrittenFile(source: string): Promise<string | undefined> {
  const file = await computedFile(source);
  return access(file).then(
    () => undefined,
    () => file,
  );
}

async function cached(file: string, { tensors }: StoredTensors, form: string): Promise<string> {
  const hash = createHash('sha256').update(`version ${version}`);
  const begins = new Map<string, number>();
  for (const { data } of tensors.values()) {
    begins.set(data.file, Math.min(data.offset, begins.get(data.file) ?? data.offset));
  }
  for (const [shard, begin] of [...begins].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { size, mtimeMs } = await stat(shard);
    hash.update(`\n${path.basename(shard)} ${size} ${mtimeMs} `);
    const handle = await open(shard, 'r');
    try {
      // The first 8 bytes, a length or a version, add nothing to the rest.
      hash.update(await readAt(handle, 8, begin - 8));
    } finally {
      await handle.close();
    }
  }
  const name = path.basename(file, indexSuffix).replace(/\.(safetensors|gguf)$/, '');
  const identity = hash.digest('hex').slice(0, 16);
  return path.join(quantizedFolder(), `${name}.${identity}.${form}.safetensors`);
}

export function quantizedFolder(): string {
  return path.join(homeFolder(), 'quantized');
}
