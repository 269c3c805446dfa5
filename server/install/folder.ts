import { mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { modelsFolder } from '../catalogue/catalogue.ts';
import { standIns } from '../checkpoints/header.ts';
import { lockFile } from '../disk/file-lock.ts';
import { chunksSuffix, partSuffix } from './download.ts';
import type { PublishedFile, PublishedModel, T5Precision } from './published.ts';

export const modelFolder = (id: string): string => path.join(modelsFolder(), id);

/**
 * Locks a model's folder for one command.
 * @returns a function that releases the lock
 * @throws CodedError `install-running`
 */
export async function lockModel(id: string): Promise<() => Promise<void>> {
  const folder = modelFolder(id);
  await mkdir(folder, { recursive: true });
  return lockFolder(`the model "${id}"`, folder);
}

/** Locks an existing folder. @param what names its content in the error */
export function lockFolder(what: string, folder: string): Promise<() => Promise<void>> {
  const file = path.join(folder, 'install.pid');
  return lockFile(
    file,
    (holder) =>
      new CodedError('install-running', {
        detail: `Process ${holder} is working on ${what}.`,
        remedy: `Wait for it to finish, or stop it. If process ${holder} is another program, delete ${file}.`,
      }),
  );
}

/** The parts of a model by file: several if there is a choice, in order of preference. */
export function partsByFile(
  model: PublishedModel,
  t5?: T5Precision,
): ReadonlyMap<string, readonly PublishedFile[]> {
  const parts = new Map<string, readonly PublishedFile[]>();
  for (const part of model.parts) {
    if (part.t5 && t5 && part.t5 !== t5) continue;
    parts.set(part.file, [...(parts.get(part.file) ?? []), part]);
  }
  return parts;
}

/** Where a part is stored: the file, its shard index, or its GGUF version. */
export async function installedAs(folder: string, file: string): Promise<string | undefined> {
  for (const name of standIns(file)) {
    if (await stat(path.join(folder, name)).catch(() => undefined)) return name;
  }
  return undefined;
}

/** Removes what an interrupted download left of a file. */
export async function removeUnfinished(place: string): Promise<void> {
  await rm(place + partSuffix, { force: true });
  await rm(place + chunksSuffix, { force: true });
}
