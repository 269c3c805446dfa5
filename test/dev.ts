/**
 * `npm run test:dev`: tries `npm run dev` in a copy of the sources. Edits a file of the server, the panel and each host, and waits
 * until the companion has restarted and serves, or the bundle holds, what was edited.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { projectRoot } from '../server/disk/paths.ts';
import { freePort } from './server/http/running-companion.ts';

const copy = await mkdtemp(path.join(tmpdir(), 'acepp-dev-'));
const at = (...names: string[]) => path.join(copy, ...names);
for (const name of [
  'package.json',
  'manifest.json',
  'tsconfig.json',
  'build.ts',
  'dev.ts',
  'server',
  'shared',
  'plugins',
]) {
  await cp(path.join(projectRoot, name), at(name), { recursive: true });
}
await symlink(path.join(projectRoot, 'node_modules'), at('node_modules'), 'junction');

const { scripts } = JSON.parse(await readFile(at('package.json'), 'utf8')) as { scripts: { dev: string } };
const [program, ...args] = scripts.dev.replaceAll('"', '').split(' ');
if (program !== 'tsx') throw new Error(`npm run dev is ${scripts.dev}`);
const cli = path.join(projectRoot, 'node_modules/tsx/dist/cli.mjs');
const dev = spawn(process.execPath, [cli, ...args], {
  cwd: copy,
  env: { ...process.env, ACEPP_HOME: at('home'), ACEPP_PORT: String(await freePort()) },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const ended = once(dev, 'close');
const lines = createInterface({ input: dev.stdout })[Symbol.asyncIterator]();

/** Of the companion that has just started. */
async function nextOrigin(): Promise<string> {
  for (;;) {
    const { value, done } = await lines.next();
    if (done) throw new Error('npm run dev ended');
    if (value.startsWith('http')) return new URL(value).origin;
  }
}

const seconds = (begin: number) => `${((performance.now() - begin) / 1000).toFixed(1)} s`;
try {
  const begin = performance.now();
  let origin = await nextOrigin();
  console.log(`npm run dev: the companion runs after ${seconds(begin)}`);

  const page = at('server/http/page.ts');
  const served = async (file: string) => (await fetch(origin + file)).text();
  const inFile = (file: string) => () => readFile(at(file), 'utf8');
  const edits: [what: string, edit: () => Promise<void>, look: () => Promise<string>][] = [
    [
      'server',
      async () => {
        const source = await readFile(page, 'utf8');
        await writeFile(page, source.replace("'no-referrer'", "'origin'"));
      },
      async () =>
        (await fetch(origin)).headers.get('referrer-policy')?.replace('origin', 'tried-server') ?? '',
    ],
    [
      'panel',
      () => appendFile(at('plugins/panel/panel.css'), '.tried-panel{top:0}'),
      () => served('/panel.css'),
    ],
    [
      'browser',
      () => appendFile(at('plugins/browser/page.css'), '.tried-browser{top:0}'),
      () => served('/panel.css'),
    ],
    [
      'photoshop',
      () => appendFile(at('plugins/photoshop/theme.css'), '.tried-photoshop{top:0}'),
      inFile('dist/photoshop/panel.css'),
    ],
    [
      'figma',
      () => appendFile(at('plugins/figma/ui/figma.css'), '.tried-figma{top:0}'),
      inFile('dist/figma/ui.html'),
    ],
  ];
  for (const [what, edit, look] of edits) {
    const edited = performance.now();
    await edit();
    origin = await nextOrigin();
    if (!(await look()).includes(`tried-${what}`))
      throw new Error(`an edit to ${what} is not there after the restart`);
    console.log(`an edit to ${what}: restarted after ${seconds(edited)}`);
  }
} finally {
  dev.kill('SIGTERM');
  await ended;
  await rm(copy, { recursive: true, force: true, maxRetries: 5 });
}
