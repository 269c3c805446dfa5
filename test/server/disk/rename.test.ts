import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rename, retried } from '../../../server/disk/rename.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
});
afterEach(() => rm(folder, { recursive: true }));

const failing = (...codes: string[]) => {
  let calls = 0;
  return {
    act: async () => {
      const code = codes[calls++];
      if (code) throw Object.assign(new Error(code), { code });
    },
    calls: () => calls,
  };
};

describe('a rename', () => {
  it('replaces an existing file, and names a missing one', async () => {
    const [from, to] = [path.join(folder, 'new'), path.join(folder, 'old')];
    await writeFile(from, 'new');
    await writeFile(to, 'old');
    await rename(from, to);
    expect(await readFile(to, 'utf8')).toBe('new');
    await expect(rename(from, to)).rejects.toMatchObject({ code: 'ENOENT', path: from });
  });

  it('is retried while another program may have the file open', async () => {
    const busy = failing('EPERM', 'EBUSY', 'EACCES');
    await retried(busy.act, [1, 1, 1]);
    expect(busy.calls()).toBe(4);
  });

  it('fails with the last error after the last retry, and at once with any other error', async () => {
    const busy = failing('EPERM', 'EPERM', 'EBUSY');
    await expect(retried(busy.act, [1, 1])).rejects.toMatchObject({ code: 'EBUSY' });
    const missing = failing('ENOENT', 'ENOENT');
    await expect(retried(missing.act, [1, 1])).rejects.toMatchObject({ code: 'ENOENT' });
    expect(missing.calls()).toBe(1);
  });
});
