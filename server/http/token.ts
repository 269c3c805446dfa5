import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeDurably } from '../disk/durable.ts';

/** The token of `home/token`, which only this user can read; made on the first start. */
export async function readToken(home: string): Promise<string> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const file = path.join(home, 'token');
  const known = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const token = known.trim();
  if (token) {
    // It may have been copied here with the rights of the copier.
    await chmod(file, 0o600);
    return token;
  }
  const made = randomBytes(32).toString('base64url');
  await writeDurably(file, `${made}\n`);
  return made;
}

/** Compares in a time that tells nothing about where the two differ, nor about their lengths. */
export function isSameToken(given: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
