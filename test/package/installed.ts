/**
 * `npm run test:package`: packs the project, installs the package into an empty prefix without install scripts, and runs
 * `acepp start` and `acepp edit` from there, in a folder that knows nothing of the checkout. Prints sizes and times.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import manifest from '../../manifest.json' with { type: 'json' };
import { projectRoot } from '../../server/disk/paths.ts';

/** The npm that comes with Node 20, whatever this machine has. */
const npmVersion = '10.8.2';

const isWindows = process.platform === 'win32';
const folder = mkdtempSync(path.join(tmpdir(), 'acepp-package-'));
const [prefix, person, home] = ['prefix', 'person', 'home'].map((name) => path.join(folder, name)) as [
  string,
  string,
  string,
];
// What the npm that runs this script knows of the checkout is not for those that it starts.
const env = Object.fromEntries(
  Object.entries({ ...process.env, ACEPP_HOME: home, CI: 'true' }).filter(
    ([name]) => !/^(npm_|INIT_CWD$)/i.test(name),
  ),
);

try {
  await run();
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function run(): Promise<void> {
  for (const name of [prefix, person, home]) mkdirSync(name);
  const quiet = ['--no-audit', '--no-fund', '--loglevel', 'error', '--prefer-offline'];
  timed(`npm ${npmVersion}`, () =>
    execFileSync('npm', ['install', '--prefix', folder, ...quiet, `npm@${npmVersion}`], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: isWindows,
    }),
  );
  const cli = path.join(folder, 'node_modules/npm/bin/npm-cli.js');
  const npm = (cwd: string, ...args: string[]) =>
    execFileSync(process.execPath, [cli, ...args], { cwd, env, encoding: 'utf8', maxBuffer: 2 ** 26 });

  // The project's .npmrc turns scripts off, and "prepack" is one.
  timed('npm pack', () =>
    npm(projectRoot, 'pack', '--ignore-scripts=false', '--silent', '--pack-destination', folder),
  );
  const tarball =
    readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? fail('npm pack left no package');
  timed('npm install --global --ignore-scripts', () =>
    npm(
      person,
      'install',
      '--global',
      '--ignore-scripts',
      '--prefix',
      prefix,
      ...quiet,
      path.join(folder, tarball),
    ),
  );
  const installed = path.join(prefix, isWindows ? '' : 'lib', 'node_modules/acepp-layers');
  for (const name of [
    `dist/${manifest.id}-${manifest.version}.ccx`,
    'dist/figma/ui.html',
    'dist/browser/panel.js',
    'server/pocket/transformer.safetensors',
    'LICENSE',
  ]) {
    lstatSync(path.join(installed, name));
  }
  const foreign = readdirSync(installed).filter((name) =>
    ['test', 'training', 'bench', 'plugins'].includes(name),
  );
  if (foreign.length > 0) fail(`the package holds ${foreign}`);

  await timedAsync('acepp start', start);
  await timedAsync('acepp edit', edit);
  const own = sizeOf(installed) - sizeOf(path.join(installed, 'node_modules'));
  console.log(`package ${megabytes(lstatSync(path.join(folder, tarball)).size)}, unpacked ${megabytes(own)}`);
  console.log(`installed with its dependencies ${megabytes(sizeOf(prefix))}`);
}

function acepp(...args: string[]) {
  const program = path.join(prefix, isWindows ? 'acepp.cmd' : 'bin/acepp');
  return spawn(program, args, { cwd: person, env, shell: isWindows, stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The page and its script come, and it ends when it is told to. */
async function start(): Promise<void> {
  env.ACEPP_PORT = String(await freePort());
  const child = acepp('start', '--no-browser', '--provider', 'cpu');
  const ended = once(child, 'close');
  try {
    const { value: line } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
    const { origin } = new URL(String(line));
    for (const [file, part] of Object.entries({ '/': manifest.name, '/panel.js': 'companion' })) {
      const text = await (await fetch(origin + file)).text();
      if (!text.includes(part)) fail(`${file} lacks "${part}"`);
    }
  } finally {
    child.kill('SIGTERM');
  }
  const [code] = await ended;
  if (code !== 0 && !isWindows) fail(`acepp start ended with ${code}`);
}

/** The page's sample, by pocket, with paths relative to the person's folder. */
async function edit(): Promise<void> {
  const [picture, mask] = ['sample-picture.jpg', 'sample-mask.png'] as const;
  for (const name of [picture, mask]) {
    cpSync(path.join(projectRoot, 'plugins/browser/assets', name), path.join(person, name));
  }
  const flags = ['--image', picture, '--mask', mask, '--instruction', 'red', '--out', 'layer.png'];
  const child = acepp('edit', '--provider', 'cpu', ...flags);
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const [code] = await once(child, 'close');
  const result = JSON.parse(stdout) as { model?: string };
  if (code !== 0 || result.model !== 'pocket') fail(stdout);
  const signature = readFileSync(path.join(person, 'layer.png')).toString('latin1', 1, 4);
  if (signature !== 'PNG') fail(`layer.png begins with ${signature}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function sizeOf(file: string): number {
  const found = lstatSync(file);
  if (!found.isDirectory()) return found.size;
  return readdirSync(file).reduce((sum, name) => sum + sizeOf(path.join(file, name)), 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function timed<T>(what: string, act: () => T): T {
  const begin = performance.now();
  const result = act();
  console.log(`${what}: ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  return result;
}

async function timedAsync(what: string, act: () => Promise<void>): Promise<void> {
  const begin = performance.now();
  await act();
  console.log(`${what}: ${((performance.now() - begin) / 1000).toFixed(1)} s`);
}

function fail(why: string): never {
  throw new Error(why);
}
