import { stat } from 'node:fs/promises';
import path from 'node:path';
import { rename } from '../disk/rename.ts';
import { readChunks } from './chunks.ts';
import { bytesOfFile, hashFor, parseDigest } from './digest.ts';
import { chunksSuffix, partSuffix } from './download.ts';
import { lockModel, modelFolder } from './folder.ts';
import { type InstalledFile, readRecord } from './record.ts';

export interface Finding {
  readonly file: string;
  readonly isRight: boolean;
  /** What is wrong, and what was done about it. */
  readonly text: string;
}

/**
 * Reads every installed file of a model and compares it with its recorded digest. A damaged download becomes
 * unfinished again: no edit uses it, and the next install downloads only the damaged chunks. The user's own
 * files are never touched.
 * @throws CodedError `install-running`; the signal's reason
 */
export async function verifyModel(
  id: string,
  options: { signal: AbortSignal; progress: (file: string, bytes: number, size: number) => void },
): Promise<Finding[]> {
  const folder = modelFolder(id);
  if (!(await stat(folder).catch(() => undefined))) return [];
  const release = await lockModel(id);
  try {
    const findings: Finding[] = [];
    for (const [file, installed] of Object.entries(await readRecord(folder))) {
      const text = await wrongWith(path.join(folder, file), installed, {
        signal: options.signal,
        onBytes: (bytes) => options.progress(file, bytes, installed.size),
      });
      if (text !== undefined && installed.origin === 'fetched') {
        const place = path.join(folder, file);
        await rename(place, place + partSuffix).catch(() => {});
      }
      findings.push({ file, isRight: text === undefined, text: text ?? installed.digest });
    }
    return findings;
  } finally {
    await release();
  }
}

async function wrongWith(
  place: string,
  { size, digest: text, origin, from }: InstalledFile,
  { signal, onBytes }: { signal: AbortSignal; onBytes: (bytes: number) => void },
): Promise<string | undefined> {
  const whose = origin === 'fetched' ? '' : ` It is yours (${from}) and was left alone.`;
  const stats = await stat(place).catch(() => undefined);
  if (!stats) return `is missing.${whose}`;
  if (stats.size !== size && origin !== 'fetched') {
    return `has ${stats.size} bytes, not ${size}.${whose}`;
  }
  const digest = parseDigest(text);
  if (!digest) return `has no readable digest in the record.${whose}`;
  const journal = origin === 'fetched' ? await readChunks(place + chunksSuffix) : undefined;
  const chunkBytes = journal?.chunkBytes ?? Number.POSITIVE_INFINITY;
  const whole = hashFor(digest.algorithm, size);
  let chunk = hashFor('sha256', 0);
  let length = 0;
  let damaged = 0;
  for await (const bytes of bytesOfFile(place, signal)) {
    whole.update(bytes);
    for (let rest = bytes; rest.length > 0; ) {
      const index = Math.floor(length / chunkBytes);
      const end = Math.min(size, (index + 1) * chunkBytes);
      const now = rest.subarray(0, Math.max(1, end - length));
      chunk.update(now);
      length += now.length;
      rest = rest.subarray(now.length);
      if (length !== end) continue;
      if (journal && journal.chunks.get(index)?.sha256 !== chunk.digest('hex')) damaged++;
      chunk = hashFor('sha256', 0);
    }
    onBytes(length);
  }
  if (length === size && whole.digest('hex') === digest.hex) return undefined;
  if (origin !== 'fetched') return `has changed since it was linked.${whose}`;
  const count = journal ? `${damaged} of ${Math.ceil(size / chunkBytes)} parts differ` : 'it differs';
  return `is damaged: ${count} from the download. The next install downloads that again.`;
}
