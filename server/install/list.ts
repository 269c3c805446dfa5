import { lstat, stat } from 'node:fs/promises';
import path from 'node:path';
import { standIns } from '../checkpoints/header.ts';
import { fetchedBytes } from './download.ts';
import { installedAs, modelFolder, partsByFile } from './folder.ts';
import type { PublishedFile, PublishedModel } from './published.ts';
import { type InstalledFile, readRecord } from './record.ts';

export type FileState =
  | { readonly kind: 'installed'; readonly known: InstalledFile | undefined; readonly size: number }
  | { readonly kind: 'broken-link'; readonly target: string }
  | { readonly kind: 'begun'; readonly bytes: number }
  /** As `verify` last found it. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'missing' };

export interface ListedFile {
  readonly file: string;
  /** More than one if there is a choice. */
  readonly choices: readonly PublishedFile[];
  readonly state: FileState;
}

/** What is installed of a model; reads no weights and makes no requests. */
export async function listFiles(model: PublishedModel): Promise<ListedFile[]> {
  const folder = modelFolder(model.id);
  const record = await readRecord(folder);
  const listed: ListedFile[] = [];
  for (const [file, choices] of partsByFile(model)) {
    listed.push({ file, choices, state: await stateOf(folder, file, record) });
  }
  return listed;
}

async function stateOf(
  folder: string,
  file: string,
  record: Readonly<Record<string, InstalledFile>>,
): Promise<FileState> {
  const name = await installedAs(folder, file);
  if (name !== undefined) {
    const { size } = await stat(path.join(folder, name));
    return { kind: 'installed', known: record[name], size };
  }
  for (const other of standIns(file)) {
    const target = record[other]?.from;
    if (target && (await lstat(path.join(folder, other)).catch(() => undefined))?.isSymbolicLink()) {
      return { kind: 'broken-link', target };
    }
  }
  const bytes = await fetchedBytes(path.join(folder, file));
  if (bytes > 0 && record[file]) return { kind: 'damaged' };
  return bytes > 0 ? { kind: 'begun', bytes } : { kind: 'missing' };
}
