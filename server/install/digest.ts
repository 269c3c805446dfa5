import { createHash, type Hash } from 'node:crypto';
import { open } from 'node:fs/promises';

/**
 * What identifies the bytes of a file: SHA-256 for those that the hub stores in LFS, git's blob id for its
 * small files (git-scm.com, "Git Objects": the SHA-1 of `blob <size>`, a zero byte and the content).
 */
export interface Digest {
  readonly algorithm: 'sha256' | 'git-sha1';
  readonly hex: string;
}

export const digestText = ({ algorithm, hex }: Digest): string => `${algorithm}:${hex}`;

export function parseDigest(text: string): Digest | undefined {
  const [, algorithm, hex] = /^(sha256|git-sha1):([0-9a-f]+)$/.exec(text) ?? [];
  return algorithm && hex ? { algorithm: algorithm as Digest['algorithm'], hex } : undefined;
}

/** A hash to feed the content of a file of `size` bytes into. */
export function hashFor(algorithm: Digest['algorithm'], size: number): Hash {
  if (algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${size}\0`);
}

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const readBytes = 2 ** 22;

/** The bytes of a file from its start; `signal` stops it between chunks. */
export async function* bytesOfFile(file: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    const buffer = new Uint8Array(readBytes);
    for (let position = 0; ; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** The digest of a file of `size` bytes. */
export async function digestOfFile(
  file: string,
  size: number,
  algorithm: Digest['algorithm'],
  { signal, onBytes }: { signal?: AbortSignal; onBytes?: (count: number) => void } = {},
): Promise<Digest> {
  const hash = hashFor(algorithm, size);
  for await (const bytes of bytesOfFile(file, signal)) {
    hash.update(bytes);
    onBytes?.(bytes.length);
  }
  return { algorithm, hex: hash.digest('hex') };
}
