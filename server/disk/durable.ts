import { open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { rename } from './rename.ts';

/** A file's bytes, not as a Buffer: its `slice` would be no copy, as that of plain bytes is. */
export async function readBytes(file: string): Promise<Uint8Array> {
  const { buffer, byteOffset, length } = await readFile(file);
  return new Uint8Array(buffer, byteOffset, length);
}

/**
 * Writes a file that is either there as a whole, also after a power cut, or not at all.
 * @throws CodedError `disk-full`, `disk-unwritable`
 */
export async function writeDurably(file: string, content: Uint8Array | string): Promise<void> {
  await replace(file, content, true);
}

/**
 * Writes a file that is there as a whole or as it was before. A power cut in the seconds after may bring back the old one.
 * @throws CodedError `disk-full`, `disk-unwritable`
 */
export async function writeAtomically(file: string, content: Uint8Array | string): Promise<void> {
  await replace(file, content, false);
}

async function replace(file: string, content: Uint8Array | string, isDurable: boolean): Promise<void> {
  const unfinished = `${file}.tmp`;
  try {
    const handle = await open(unfinished, 'w', 0o600);
    try {
      await handle.writeFile(content);
      if (isDurable) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
    if (isDurable) await syncFolder(path.dirname(file));
  } catch (cause) {
    // On a full disk the half-written file would keep the space that everything else needs.
    await rm(unfinished, { force: true }).catch(() => {});
    throw asDiskError(cause);
  }
}

/** Brings the content of a file that was written in another way to the disk. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A rename survives a power cut only once its folder is on the disk as well (fsync(2), "Notes"). */
export async function syncFolder(folder: string): Promise<void> {
  // Windows opens no folders; NTFS keeps its names in a journal.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network disks refuse to sync a folder.
    if (!['EINVAL', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await handle.close();
  }
}

/** What the operating system refuses to write, and why, as far as a person can do something about it. */
const unwritable: Readonly<Record<string, string>> = {
  EROFS: 'the disk is read-only',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EIO: 'the disk fails',
  ENOTDIR: 'a file is in the way of a folder',
  EISDIR: 'a folder is in the way of a file',
  ENAMETOOLONG: 'the path is too long',
  ELOOP: 'its links go in a circle',
};

/** The error of a full or unwritable disk as a coded one; others as they are. */
export function asDiskError(cause: unknown): unknown {
  const { code = '', path: file } = (cause ?? {}) as NodeJS.ErrnoException;
  const where = file ? ` for ${file}` : '';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CodedError('disk-full', {
      detail: `There is no space left on the disk${where}.`,
      remedy: 'Free some space, or let ACEPP_HOME name a folder on another disk.',
      cause,
    });
  }
  const reason = unwritable[code];
  if (reason === undefined) return cause;
  return new CodedError('disk-unwritable', {
    detail: `Nothing can be written${where}: ${reason} (${code}).`,
    remedy: 'Make the folder writable, or let ACEPP_HOME name another one.',
    cause,
  });
}
