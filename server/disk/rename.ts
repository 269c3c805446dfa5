import { rename as renameOnce } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** What Windows returns while a virus scanner or an indexer has one of the two files open. */
const transient: ReadonlySet<string | undefined> = new Set(['EACCES', 'EBUSY', 'EPERM']);

/** Milliseconds; scanners let go of a file within seconds. */
const delays = [10, 30, 100, 300, 1000, 3000];

/**
 * Renames a file over another. Windows refuses while any program has one of them open without sharing it for deletion
 * (learn.microsoft.com, CreateFileW, FILE_SHARE_DELETE), so this retries there, as graceful-fs does
 * (isaacs/node-graceful-fs, polyfills.js).
 */
export async function rename(from: string, to: string): Promise<void> {
  await retried(() => renameOnce(from, to), process.platform === 'win32' ? delays : []);
}

/** Retries `act` after each delay, as long as its error is transient. */
export async function retried(act: () => Promise<void>, waits: readonly number[]): Promise<void> {
  for (const wait of waits) {
    try {
      return await act();
    } catch (error) {
      if (!transient.has((error as NodeJS.ErrnoException).code)) throw error;
      await sleep(wait);
    }
  }
  await act();
}
