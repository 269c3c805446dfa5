/** `npm run simulate:stacks`: all 50 documents of stacks.test.ts, of which the suite takes some. */
import { spawnSync } from 'node:child_process';

const count = process.argv[2] ?? '50';
const { status } = spawnSync('npx', ['vitest', 'run', 'test/photoshop/stacks.test.ts'], {
  stdio: 'inherit',
  shell: process.platform === 'win32',
  env: { ...process.env, STACKS: count },
});
process.exitCode = status ?? 1;
