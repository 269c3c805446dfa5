import { mkdir, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';

/**
 * Holds a home for one companion: a second one would take the edits of the first for abandoned ones. A file with the
 * process id says who holds it; that of a process that is no more is taken over.
 * @returns its release
 * @throws CodedError `companion-running`
 */
export async function holdHome(home: string): Promise<() => Promise<void>> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const file = path.join(home, 'companion.pid');
  for (;;) {
    try {
      const handle = await open(file, 'wx', 0o600);
      await handle.writeFile(`${process.pid}\n`);
      await handle.close();
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(file, 'utf8').catch(() => ''));
    if (isAlive(holder)) {
      throw new CodedError('companion-running', {
        detail: `A companion runs already (process ${holder}) with the folder ${home}.`,
        remedy: `Use its page, or end it first. If process ${holder} is another program, remove ${file}.`,
      });
    }
    await rm(file, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It exists, but belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
