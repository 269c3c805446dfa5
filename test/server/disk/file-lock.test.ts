import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockFile } from '../../../server/disk/file-lock.ts';
import { CodedError } from '../../../shared/errors.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-hold-'));
});
afterEach(() => rm(folder, { recursive: true }));

const held = (pid: number) => new CodedError('companion-running', { detail: `Held by ${pid}.`, remedy: '' });

test('a stale lock file is taken over, and a process only removes its own', async () => {
  const file = path.join(folder, 'one.pid');
  await writeFile(file, '999999999\n');
  const release = await lockFile(file, held);
  expect(await readFile(file, 'utf8')).toMatch(new RegExp(`^${process.pid}\\b`));
  expect(await readdir(folder)).toEqual(['one.pid']);
  await writeFile(file, `${process.ppid}\n`);
  await release();
  expect(await readFile(file, 'utf8')).toBe(`${process.ppid}\n`);
  await expect(lockFile(file, held)).rejects.toThrow(`Held by ${process.ppid}`);
});

test.skipIf(process.platform !== 'linux')(
  'a lock is taken over if its process ID now belongs to another process, as after a reboot',
  async () => {
    const file = path.join(folder, 'one.pid');
    await writeFile(file, `${process.ppid} 00000000-0000-0000-0000-000000000000 123\n`);
    const release = await lockFile(file, held);
    await release();
    expect(await readdir(folder)).toEqual([]);
  },
);

test('of many processes that start at once over a stale lock, exactly one gets it', async () => {
  const file = path.join(folder, 'one.pid');
  const holder = path.join(folder, 'holder.ts');
  await writeFile(
    holder,
    `import { lockFile } from ${JSON.stringify(path.resolve('server/disk/file-lock.ts'))};
     process.on('message', () => lockFile(process.argv[2], () => new Error('held')).then(() => process.send('held by me'), () => process.send('held')));
     process.send('ready');`,
  );
  const children = Array.from({ length: 6 }, () => fork(holder, [file], { execArgv: ['--import', 'tsx'] }));
  try {
    await Promise.all(children.map((child) => once(child, 'message')));
    for (let round = 0; round < 5; round++) {
      await writeFile(file, '999999999\n');
      const answers = children.map((child) => once(child, 'message'));
      for (const child of children) child.send('now');
      const told = (await Promise.all(answers)).map(([message]) => message as string);
      expect(told.filter((message) => message === 'held by me')).toHaveLength(1);
    }
  } finally {
    for (const child of children) child.kill();
  }
}, 240_000);
