import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { readHeaderLength } from '../../shared/safetensors.ts';
import { homeFolder } from '../paths.ts';
import { indexSuffix, openStored } from './header.ts';
import { bitsFor } from './quantize.ts';
import type { Bits } from './rounding.ts';

/** Counted up when the same source would become other bytes. */
const version = 1;

/**
 * Where the quantized form of a weights file lies, or will: `quantized/<name>.<identity>.<bits>bit.safetensors` of the companion's
 * folder. The identity is a hash of the header, the size and the time of the last change of the file or of each shard. Not of the
 * content: reading 24 GB takes a minute or more, and it would have to be read again whenever models are listed.
 * A file in which nothing can be quantized, such as one in float8, stands for itself.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function quantizedFile(source: string, bits: Bits): Promise<string> {
  const hash = createHash('sha256').update(`version ${version}`);
  const { file, stored } = await openStored(source);
  if (![...stored.tensors.values()].some((tensor) => bitsFor(tensor, bits) === bits)) return file;
  const shards = new Set([...stored.tensors.values()].map(({ data }) => data.file));
  for (const shard of [...shards].sort()) {
    const { size, mtimeMs } = await stat(shard);
    hash.update(`\n${path.basename(shard)} ${size} ${mtimeMs} `);
    const handle = await open(shard, 'r');
    try {
      const { buffer: prefix } = await handle.read(new Uint8Array(8), 0, 8, 0);
      const length = readHeaderLength(prefix, size, shard);
      const { buffer } = await handle.read(new Uint8Array(length), 0, length, 8);
      hash.update(buffer);
    } finally {
      await handle.close();
    }
  }
  const name = path.basename(file, indexSuffix).replace(/\.safetensors$/, '');
  const identity = hash.digest('hex').slice(0, 16);
  return path.join(quantizedFolder(), `${name}.${identity}.${bits}bit.safetensors`);
}

export function quantizedFolder(): string {
  return path.join(homeFolder(), 'quantized');
}
