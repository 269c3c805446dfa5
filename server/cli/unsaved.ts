import { cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { parseEditRequest } from '../../shared/protocol/request.ts';
import { decodeContainer } from '../../shared/safetensors.ts';
import { readBytes } from '../disk/durable.ts';
import { homeFolder } from '../disk/paths.ts';
import { requestFile, resultFile } from '../engine/edit-files.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Finished edits: those from the command line whose file could not be written, and the companion's. */
const unsavedFolder = () => path.join(homeFolder(), 'unsaved');
const companionFolder = () => path.join(homeFolder(), 'edits');

/** Keeps a finished edit, so that `acepp save` can write it. */
export async function keepUnsaved(folder: string, id: string): Promise<void> {
  const kept = path.join(unsavedFolder(), id);
  await mkdir(unsavedFolder(), { recursive: true, mode: 0o700 });
  await rename(folder, kept).catch(async () => {
    // It is on another disk.
    await cp(folder, kept, { recursive: true });
    await rm(folder, { recursive: true, force: true });
  });
}

export interface KeptEdit {
  readonly id: string;
  readonly folder: string;
  /** When its result was ready, ISO 8601. */
  readonly finished: string;
  /** Its file was never written. */
  readonly unsaved: boolean;
}

/** All finished edits, newest first. */
export async function keptEdits(): Promise<readonly KeptEdit[]> {
  const found: KeptEdit[] = [];
  for (const [parent, unsaved] of [
    [unsavedFolder(), true],
    [companionFolder(), false],
  ] as const) {
    for (const id of await readdir(parent).catch(() => [])) {
      if (!uuid.test(id)) continue;
      const folder = path.join(parent, id);
      const made = await stat(resultFile(folder, 0)).catch(() => undefined);
      if (made) found.push({ id, folder, finished: made.mtime.toISOString(), unsaved });
    }
  }
  return found.sort((a, b) => b.finished.localeCompare(a.finished));
}

/** @throws CodedError `not-found` */
export async function findKept(id: string): Promise<KeptEdit> {
  const found = (await keptEdits()).filter((edit) => edit.id.startsWith(id.toLowerCase()));
  const [edit] = found;
  if (edit && found.length === 1) return edit;
  throw new CodedError('not-found', {
    detail: found.length
      ? `${found.length} finished edits begin with "${id}".`
      : `There is no finished edit "${id}".`,
    remedy: 'See "acepp edits list" and "acepp edits unsaved".',
  });
}

/** The instruction, on one line. */
export async function instructionIn(folder: string): Promise<string> {
  try {
    const { metadata } = decodeContainer(await readBytes(requestFile(folder)), 'The request');
    return parseEditRequest(metadata.request ?? '')
      .instruction.replaceAll(/\s+/g, ' ')
      .slice(0, 60);
  } catch {
    // Damaged or from a newer version: listed without it.
    return '';
  }
}
