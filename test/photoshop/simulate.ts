/**
 * `npm run simulate`: 200 documents of identity.test.ts and 50 of stacks.test.ts, of which the suite takes
 * some.
 */
import { spawnSync } from 'node:child_process';

const files = ['test/photoshop/identity.test.ts', 'test/photoshop/stacks.test.ts'];
const { status } = spawnSync('npx', ['vitest', 'run', ...files], {
  stdio: 'inherit',
  shell: process.platform === 'win32',
  env: { DOCUMENTS: '200', STACKS: '50', ...process.env },
});
process.exitCode = status ?? 1;
