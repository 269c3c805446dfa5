import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { writeDurably } from '../disk/durable.ts';

/**
 * What was installed in a model's folder, by file: `verify` compares against it, and `remove` may only remove
 * what it lists.
 */
const recordSchema = v.record(
  v.string(),
  v.object({
    /** Downloaded; a link to a file elsewhere; or added by the user. */
    origin: v.picklist(['fetched', 'linked', 'own']),
    title: v.string(),
    /** `repo/path@commit`, or the path of the user's file. */
    from: v.string(),
    size: v.number(),
    /** In the format of `digestText`. */
    digest: v.string(),
    /** Together with the size, shows whether it is still the file that was checked. */
    modifiedMs: v.number(),
  }),
);
export type InstallRecord = v.InferOutput<typeof recordSchema>;
export type InstalledFile = InstallRecord[string];

export const recordFile = 'install.json';

/** The record of a model's folder; empty if there is none. */
export async function readRecord(folder: string): Promise<InstallRecord> {
  const text = await readFile(path.join(folder, recordFile), 'utf8').catch(() => '{}');
  try {
    return v.parse(recordSchema, JSON.parse(text));
  } catch {
    // Then nothing in the folder counts as installed: files are hashed again, and none is removed.
    return {};
  }
}

export async function writeRecord(folder: string, record: InstallRecord): Promise<void> {
  await writeDurably(path.join(folder, recordFile), `${JSON.stringify(record, null, 2)}\n`);
}
