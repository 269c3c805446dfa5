import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { lockFile } from '../disk/file-lock.ts';

/**
 * Holds a home for one companion: a second one would take the edits of the first for abandoned ones.
 * @returns its release
 * @throws CodedError `companion-running`
 */
export async function lockHome(home: string): Promise<() => Promise<void>> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const file = path.join(home, 'companion.pid');
  return lockFile(
    file,
    (holder) =>
      new CodedError('companion-running', {
        detail: `A companion runs already (process ${holder}) with the folder ${home}.`,
        remedy: `Use its page, or end it first. If process ${holder} is another program, remove ${file}.`,
      }),
  );
}
