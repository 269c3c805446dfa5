import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { asDiskError } from '../disk/durable.ts';
import { lockFile } from '../disk/file-lock.ts';

/**
 * Makes a home where there is none, and locks it for one companion: a second one would run its edits as well.
 * @returns its release
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

/** Who can write there can put a token of theirs in place of ours. Windows keeps such rights in other lists. */
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
