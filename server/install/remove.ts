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
  /** What stays, and why. */
  readonly kept: readonly string[];
}

/**
 * Removes what was fetched of a model, what was quantized of it, and the links to the person's files, never a file of theirs.
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
      // Of a link itself, not of where it leads.
      const stats = await lstat(place).catch(() => undefined);
      if (!stats) continue;
      const isOurs =
        origin === 'linked' || (origin === 'fetched' && stats.size === size && stats.mtimeMs === modifiedMs);
      if (!isOurs) {
        kept.push(`${place}: ${origin === 'own' ? 'added by you' : 'it was changed after the download'}`);
        continue;
      }
      await rm(place);
      // What an adapter wants of an edit.
      if (file.startsWith(`${adaptersFolder}/`)) {
        await rm(place.slice(0, -adapterSuffix.length) + defaultsSuffix, { force: true });
      }
      if (origin === 'linked') kept.push(`${from}: your own file`);
      // Another model may have another name of it: then this frees nothing.
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
      // Only where it is empty.
      if (inner !== '.') await rmdir(path.join(folder, inner)).catch(() => {});
    }
  } finally {
    await release();
  }
  await rmdir(folder).catch(() => {});
  return { removedBytes, kept };
}
