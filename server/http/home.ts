import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { asDiskError } from '../disk/durable.ts';
import { lockFile } from '../disk/file-lock.ts';

/**
 * Creates the home if it doesn't exist and locks it for one companion: a second one would also run its edits.
 * @returns a function that releases the lock
 * @throws CodedError `companion-running`, `home-unsafe`, `disk-full`, `disk-unwritable`
 */
export async function lockHome(home: string): Promise<() => Promise<void>> {
  const file = path.join(home, 'companion.pid');
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await refuseShared(home);
    return await lockFile(
      file,
      (holder) =>
        new CodedError('companion-running', {
          detail: `A companion runs already (process ${holder}) with the folder ${home}.`,
          remedy: `Use its page, or end it first. If process ${holder} is another program, remove ${file}.`,
        }),
    );
  } catch (cause) {
    throw asDiskError(cause);
  }
}

/** Anyone who can write there can replace our token with theirs. Windows keeps such permissions in ACLs. */
async function refuseShared(home: string): Promise<void> {
  if (process.platform === 'win32') return;
  const { mode, uid } = await stat(home);
  const own = process.getuid?.();
  const isOthers = uid !== own && own !== 0;
  if (!isOthers && (mode & 0o022) === 0) return;
  throw new CodedError('home-unsafe', {
    detail: isOthers
      ? `The folder ${home} belongs to another user (${uid}).`
      : `Other users can write to ${home} (mode ${(mode & 0o777).toString(8)}).`,
    remedy: isOthers
      ? 'Let ACEPP_HOME name a folder of yours.'
      : `Run "chmod go-w ${home}", or let ACEPP_HOME name another folder.`,
  });
}
