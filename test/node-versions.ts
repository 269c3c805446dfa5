/**
 * `npm run test:node -- 22 24 [-- test/server/engine]`: the tests under other versions of Node, on Linux. npm has Node's binaries
 * as packages without scripts; what is tested, and every process that it starts, runs on them.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { projectRoot } from '../server/disk/paths.ts';

const given = process.argv.slice(2);
const cut = given.indexOf('--');
const versions = cut === -1 ? given : given.slice(0, cut);
const tests = cut === -1 ? [] : given.slice(cut + 1);
if (versions.length === 0 || !versions.every((version) => /^\d+(\.\d+){0,2}$/.test(version))) {
  console.error('Name versions of Node: npm run test:node -- 22 24 [-- test/server/engine]');
  process.exit(1);
}
if (process.platform !== 'linux') {
  console.error(`npm has no such package for ${process.platform}; install the version, and run "npm test".`);
  process.exit(1);
}

const folder = mkdtempSync(path.join(tmpdir(), 'acepp-node-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const version of versions) {
  const prefix = path.join(folder, version);
  const name = `node-linux-${process.arch}`;
  execFileSync('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', `${name}@${version}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const bin = path.join(prefix, 'node_modules', name, 'bin');
  const node = path.join(bin, 'node');
  const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` };
  console.log(execFileSync(node, ['--version'], { encoding: 'utf8' }).trim());
  const vitest = path.join(projectRoot, 'node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(node, [vitest, 'run', ...tests], { cwd: projectRoot, env, stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
