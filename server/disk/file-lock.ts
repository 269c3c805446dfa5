import { constants, readFileSync } from 'node:fs';
import { copyFile, link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CodedError } from '../../shared/errors.ts';

/**
 * Locks a file for one process. The lock file has the process id of its owner; the lock of a process that has died is taken over.
 * @param held returns the error to throw if process `pid` has the lock
 * @returns a function that releases the lock
 */
export async function lockFile(
  file: string,
  held: (pid: number) => CodedError,
): Promise<() => Promise<void>> {
  const own = `${file}.${process.pid}`;
  await writeFile(own, `${process.pid} ${birthOf(process.pid)}`.trim().concat('\n'), { mode: 0o600 });
  try {
    for (;;) {
      if (await appears(own, file)) return () => release(file);
      const holder = await holderOf(file);
      if (isAlive(holder)) throw held(holder.pid);
      await removeAbandoned(own, file);
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** Creates `file` with the content of `own` in one step, so nobody finds it empty; returns false if it already exists. */
async function appears(own: string, file: string): Promise<boolean> {
  try {
    // Some file systems have no links.
    await link(own, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw error;
      return copyFile(own, file, constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Only one process at a time may check and remove, or a second one could remove the lock that the first has just created. If a
 * process is killed right here, its `.removing` file is in the way once, then removed too.
 */
async function removeAbandoned(own: string, file: string): Promise<void> {
  const removing = `${file}.removing`;
  if (!(await appears(own, removing))) {
    if (!isAlive(await holderOf(removing))) await rm(removing, { force: true });
    await sleep(5);
    return;
  }
  try {
    if (!isAlive(await holderOf(file))) await rm(file, { force: true });
  } finally {
    await rm(removing, { force: true });
  }
}

async function release(file: string): Promise<void> {
  if ((await holderOf(file)).pid === process.pid) await rm(file, { force: true });
}

interface Holder {
  readonly pid: number;
  /** What `birthOf` said when it took the lock; empty where that isn't known. */
  readonly birth: string;
}

async function holderOf(file: string): Promise<Holder> {
  const [pid, ...birth] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
  return { pid: Number(pid), birth: birth.join(' ') };
}

function isAlive({ pid, birth }: Holder): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // The process exists, but belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  // After a restart of the machine, another process may have the number.
  const now = birthOf(pid);
  return birth === '' || now === '' || birth === now;
}

/**
 * When a process started: in ticks since the machine did, with the id of that start (proc(5), /proc/pid/stat field 22 and
 * /proc/sys/kernel/random/boot_id). Empty where there is no /proc.
 */
function birthOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in parentheses, may have blanks.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${ticks}`;
  } catch {
    return '';
  }
}
