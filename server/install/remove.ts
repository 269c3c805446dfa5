import { lstat, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { defaultsSuffix } from '../catalogue/adapter-defaults.ts';
import { adapterSuffix, adaptersFolder, quantizedOnlyOf } from '../catalogue/catalogue.ts';
import { unfinished } from '../quantize/file-writer.ts';
import { chunksSuffix, partSuffix } from './download.ts';
import { lockModel, modelFolder, removeUnfinished } from './folder.ts';
import type { PublishedModel } from './published.ts';
import { readRecord, recordFile } from './record.ts';

export interface Removal {
  readonly removedBytes: number;
  /** What was kept, and why. */
  readonly kept: readonly string[];
}

/**
 * Removes what was downloaded for a model, what was quantized from it, and the links to the user's files, but
 * never those files themselves.
 * @throws CodedError `install-running`
 */
export async function removeModel(model: PublishedModel): Promise<Removal> {
  const folder = modelFolder(model.id);
  const release = await lockModel(model.id);
  const kept: string[] = [];
  let removedBytes = 0;
  try {
    for (const file of await quantizedOnlyOf(model.id)) {
      for (const place of [file, file + unfinished]) {
        removedBytes += (await lstat(place).catch(() => undefined))?.size ?? 0;
        await rm(place, { force: true });
      }
    }
    const record = await readRecord(folder);
    for (const [file, { origin, size, modifiedMs, from }] of Object.entries(record)) {
      const place = path.join(folder, file);
      // Describes the link itself, not its target.
      const stats = await lstat(place).catch(() => undefined);
      if (!stats) continue;
      const isOurs =
        origin === 'linked' || (origin === 'fetched' && stats.size === size && stats.mtimeMs === modifiedMs);
      if (!isOurs) {
        kept.push(`${place}: ${origin === 'own' ? 'added by you' : 'it was changed after the download'}`);
        continue;
      }
      await rm(place);
      // The adapter's defaults for edits.
      if (file.startsWith(`${adaptersFolder}/`)) {
        await rm(place.slice(0, -adapterSuffix.length) + defaultsSuffix, { force: true });
      }
      if (origin === 'linked') kept.push(`${from}: your own file`);
      // If another model has a hard link to it, this frees nothing.
      else if (stats.nlink === 1) removedBytes += size;
    }
    const files = new Set([...Object.keys(record), ...model.parts.map(({ file }) => file)]);
    for (const file of files) {
      const place = path.join(folder, file);
      for (const suffix of [partSuffix, chunksSuffix]) {
        removedBytes += (await lstat(place + suffix).catch(() => undefined))?.size ?? 0;
      }
      await removeUnfinished(place);
    }
    await rm(path.join(folder, recordFile), { force: true });
    for (const inner of new Set([...files].map((file) => path.dirname(file)))) {
      // Only if it is empty.
      if (inner !== '.') await rmdir(path.join(folder, inner)).catch(() => {});
    }
  } finally {
    await release();
  }
  await rmdir(folder).catch(() => {});
  return { removedBytes, kept };
}
