import { open, readFile } from 'node:fs/promises';
import { CodedError } from '../../shared/errors.ts';
import { rename } from './rename.ts';

/** A file's bytes, not as a Buffer: its `slice` would be no copy, as that of plain bytes is. */
export async function readBytes(file: string): Promise<Uint8Array> {
  const { buffer, byteOffset, length } = await readFile(file);
  return new Uint8Array(buffer, byteOffset, length);
}

/**
 * Writes a file that is either there as a whole, also after a power cut, or not at all.
 * @throws CodedError `disk-full`
 */
export async function writeDurably(file: string, content: Uint8Array | string): Promise<void> {
  const unfinished = `${file}.tmp`;
  try {
    const handle = await open(unfinished, 'w', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
  } catch (cause) {
    throw asDiskError(cause);
  }
}

/** The error of a full disk as a coded one; others as they are. */
export function asDiskError(cause: unknown): unknown {
  const { code, path: file } = cause as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return cause;
  return new CodedError('disk-full', {
    detail: `There is no space left on the disk${file ? ` for ${file}` : ''}.`,
    remedy: 'Free some space, or let ACEPP_HOME name a folder on another disk.',
    cause,
  });
}
