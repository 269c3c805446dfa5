/**
 * `npm run bench:edit`: how long the user waits for one edit of the page's sample, with pocket on the CPU. Cold: the command line,
 * from its start to the written layer. Warm: a companion's second edit, from the request to the layer. If you name a Python that has
 * PyTorch, also the same networks there: from the interpreter's start, and a second time.
 *
 *     npm run bench:edit -- --torch .venv/bin/python
 *
 * Prints one JSON line on stdout and a table on stderr: medians in seconds.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { createClient } from '../plugins/panel/client/client.ts';
import { projectRoot } from '../server/disk/paths.ts';
import type { EditResult } from '../shared/protocol/result.ts';
import { encodeContainer, type Tensor } from '../shared/safetensors.ts';
import { median, stopwatch } from './clock.ts';

const { torch, times } = new Command('npm run bench:edit --')
  .option('--torch <python>', 'a Python with PyTorch and training/requirements.txt')
  .option('--times <n>', 'how often to measure each', Number, 5)
  .parse()
  .opts<{ torch?: string; times: number }>();

const instruction = 'put {image1} here';
const sample = (name: string) => path.join(projectRoot, 'plugins/browser/assets', name);
const [picture, mask, reference] = ['sample-picture.jpg', 'sample-mask.png', 'sample-reference.png'].map(
  sample,
) as [string, string, string];

const home = mkdtempSync(path.join(tmpdir(), 'acepp-bench-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));
const env = { ...process.env, ACEPP_HOME: home, CI: 'true' };

const cold = await coldEdit();
const warm = await warmEdit();
const python = torch === undefined ? undefined : await inTorch(torch, warm.result);
const report = {
  cores: availableParallelism(),
  cold,
  warm: warm.seconds,
  timings: warm.result.timings,
  ...(python && { torch: python }),
};
console.log(JSON.stringify(report));
const beside = (ours: number, theirs: number | undefined) =>
  theirs === undefined
    ? ''
    : `; the networks in PyTorch ${theirs.toFixed(2)} s (ours ${(ours / theirs).toFixed(2)} of it)`;
console.error(`cold: ${cold.toFixed(2)} s${beside(cold, python?.cold)}`);
console.error(`warm: ${warm.seconds.toFixed(2)} s${beside(warm.seconds, python?.warm)}`);

async function coldEdit(): Promise<number> {
  const args = ['--image', picture, '--mask', mask, '--reference', reference, '--instruction', instruction];
  const command = [
    path.join(projectRoot, 'dist/server/acepp.js'),
    'edit',
    ...args,
    '--provider',
    'cpu',
    '--seed',
    '7',
  ];
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const clock = stopwatch();
    await promisify(execFile)(process.execPath, [...command, '--out', path.join(home, 'layer.png')], { env });
    taken.push(clock());
  }
  return median(taken);
}

async function warmEdit(): Promise<{ seconds: number; result: EditResult }> {
  const program = path.join(projectRoot, 'dist/server/acepp.js');
  const companion = spawn(process.execPath, [program, 'start', '--provider', 'cpu'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const link = new URL(await firstLine(companion));
    const client = createClient(link.origin, new URLSearchParams(link.hash.slice(1)).get('token')!);
    const tensors = sampleTensors();
    const taken: number[] = [];
    for (let i = 0; ; i++) {
      const clock = stopwatch();
      const result = await edited(client, tensors, i);
      taken.push(clock());
      if (i === times) return { seconds: median(taken.slice(1)), result };
    }
  } finally {
    companion.kill();
    await once(companion, 'exit');
  }
}

function sampleTensors(): Map<string, Tensor> {
  const files = { 'edit.jpg': picture, 'mask.png': mask, 'reference.0.png': reference };
  return new Map(
    Object.entries(files).map(([name, file]): [string, Tensor] => {
      const data = new Uint8Array(readFileSync(file));
      return [name, { dtype: 'U8', shape: [data.length], data }];
    }),
  );
}

/** Sends the sample and fetches the layer, as the page does. */
async function edited(
  client: ReturnType<typeof createClient>,
  tensors: ReadonlyMap<string, Tensor>,
  seed: number,
): Promise<EditResult> {
  const request = JSON.stringify({ version: 1, instruction, seed, model: 'pocket' });
  const id = randomUUID();
  await client.put(id, encodeContainer({ metadata: { request }, tensors }));
  for (let after = 0; ; ) {
    const { events, next } = await client.poll(id, after, 20);
    const last = events.at(-1);
    if (last?.type === 'done') {
      await client.result(id, 0);
      return last.results[0]!;
    }
    if (last?.type === 'failed') throw new Error(last.problem.detail);
    after = next;
  }
}

/** The same sizes; the reference is next to the target, and square like the sample's. */
async function inTorch(python: string, { workSize, steps, guidance }: EditResult) {
  const job = JSON.stringify({
    rows: workSize.height / 16,
    columns: workSize.width / 16,
    referenceColumns: workSize.height / 16,
    instruction,
    steps,
    guidance,
    times,
  });
  const colds: number[] = [];
  const warms: number[] = [];
  for (let i = 0; i < times; i++) {
    const clock = stopwatch();
    const child = spawn(python, ['-m', 'bench.edit', job], {
      cwd: projectRoot,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    if ((await lines.next()).done) throw new Error(`${python} -m bench.edit exited without an edit`);
    colds.push(clock());
    warms.push(Number((await lines.next()).value));
  }
  return { cold: median(colds), warm: median(warms) };
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) return line;
  throw new Error('the companion exited before it printed its address');
}
