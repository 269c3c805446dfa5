import { open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { rename } from './rename.ts';

/** A file's bytes as a plain Uint8Array: unlike a Buffer's, its `slice` copies. */
export async function readBytes(file: string): Promise<Uint8Array> {
  const { buffer, byteOffset, length } = await readFile(file);
  return new Uint8Array(buffer, byteOffset, length);
}

/**
 * Writes a file completely or not at all, even if the power fails.
 * @throws CodedError `disk-full`, `disk-unwritable`
 */
export async function writeDurably(file: string, content: Uint8Array | string): Promise<void> {
  await replace(file, content, true);
}

/**
 * Writes a file completely, or leaves the old one. A power failure within the next seconds may bring back the old one.
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
    // On a full disk, the half-written file would take up space that everything else needs.
    await rm(unfinished, { force: true }).catch(() => {});
    throw asDiskError(cause);
  }
}

/** Flushes a file to disk that was written by other means. */
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
  // Windows cannot open folders; NTFS journals its names.
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

/** Why the operating system refuses a write, for the reasons that the user can do something about. */
const unwritable: Readonly<Record<string, string>> = {
  EROFS: 'the disk is read-only',
  EACCES: 'you have no permission to write there',
  EPERM: 'you have no permission to write there',
  EIO: 'the disk reports an error',
  ENOTDIR: 'a file is in the way of a folder',
  EISDIR: 'a folder is in the way of a file',
  ENAMETOOLONG: 'the path is too long',
  ELOOP: 'its links form a loop',
};

/** Turns the error of a full or unwritable disk into a coded one; returns others unchanged. */
export function asDiskError(cause: unknown): unknown {
  const { code = '', path: file } = (cause ?? {}) as NodeJS.ErrnoException;
  const where = file ? ` for ${file}` : '';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CodedError('disk-full', {
      detail: `There is no space left on the disk${where}.`,
      remedy: 'Free some space, or set ACEPP_HOME to a folder on another disk.',
      cause,
    });
  }
  const reason = unwritable[code];
  if (reason === undefined) return cause;
  return new CodedError('disk-unwritable', {
    detail: `Writing failed${where}: ${reason} (${code}).`,
    remedy: 'Make the folder writable, or set ACEPP_HOME to another one.',
    cause,
  });
}
