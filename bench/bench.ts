/**
 * `npm run bench`: times a step of the transformer and compares it with a plain matrix product in the same run and, if you name a
 * Python that has PyTorch, with the same network there.
 *
 *     npm run bench                                                        pocket on the CPU
 *     npm run bench -- --size 12b --random-weights --provider cuda --torch python3
 *     npm run bench -- --size block --random-weights --side 512            one double and two single blocks at FLUX.1's width
 *
 * Prints one JSON line on stdout per number of references, and a table on stderr.
 */
import { type ChildProcess, execFile, execFileSync, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Command, Option } from 'commander';
import { projectRoot } from '../server/disk/paths.ts';
import { engineEnvironment } from '../server/runtime/environment.ts';
import { type Provider, providers } from '../server/runtime/provider.ts';
import type { Job, StepReport } from './step.ts';
import { type FluxShape, fluxTensors, writeWeights } from './weights.ts';

/** FLUX.1's widths; `block` is the smallest part with every kind of layer. */
const sizes: Record<'block' | '12b', FluxShape> = {
  block: { width: 3072, double: 1, single: 2 },
  '12b': { width: 3072, double: 19, single: 38 },
};

interface Flags {
  readonly size: 'pocket' | keyof typeof sizes;
  readonly randomWeights?: true;
  readonly dtype: 'F32' | 'F16' | 'BF16';
  readonly provider: Provider;
  readonly side?: number;
  readonly references: readonly number[];
  readonly steps: number;
  readonly torch?: string;
}

interface TorchReport {
  readonly eager: number;
  readonly compiled?: number;
}

const numbers = (text: string) => text.split(',').map(Number);
const flags = new Command('npm run bench --')
  .addOption(new Option('--size <size>').choices(['pocket', 'block', '12b']).default('pocket'))
  .option('--random-weights', 'write weights of these shapes into the temporary folder: 24 GB for 12b')
  .addOption(
    new Option('--dtype <type>', 'of random weights').choices(['F32', 'F16', 'BF16']).default('BF16'),
  )
  .addOption(new Option('--provider <name>').choices([...providers]).default('cpu'))
  .option('--side <pixels>', 'of the square that is made: 1024, for pocket 192', Number)
  .option('--references <counts>', 'each of the same size as what is made', numbers, [0, 1, 3])
  .option('--steps <n>', 'that are timed, after one that is not', Number, 3)
  .option('--torch <python>', 'a Python with PyTorch, for the same network there')
  .parse()
  .opts<Flags>();

const self = path.dirname(fileURLToPath(import.meta.url));
if (flags.size !== 'pocket' && !flags.randomWeights) {
  console.error(`There are no weights for the size "${flags.size}": add --random-weights.`);
  process.exit(1);
}
const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const side = flags.side ?? (flags.size === 'pocket' ? 192 : 1024);
const file = weightsFile();
for (const references of flags.references) {
  const job: Job = { file, provider: flags.provider, side, references, steps: flags.steps };
  const report = await measured(job);
  const torch = flags.torch ? await inTorch(flags.torch, report) : undefined;
  console.log(JSON.stringify({ size: flags.size, side, references, ...report, ...(torch && { torch }) }));
  console.error(describe(references, report, torch));
}

function weightsFile(): string {
  if (flags.size === 'pocket') return path.join(projectRoot, 'server/pocket/transformer.safetensors');
  const written = path.join(folder, 'transformer.safetensors');
  const bytes = writeWeights(written, fluxTensors(sizes[flags.size]), flags.dtype, 'random');
  console.error(`Wrote ${(bytes / 1e9).toFixed(1)} GB of random weights.`);
  return written;
}

/** Measures in a separate process, which blocks while it computes; this process watches its memory. */
async function measured(job: Job): Promise<StepReport & { peakMegabytes: number }> {
  const child = fork(path.join(self, 'step.ts'), [JSON.stringify(job)], {
    env: engineEnvironment(),
    execArgv: ['--import', 'tsx'],
  });
  const before = memoryOf(child, job.provider);
  let peak = 0;
  const sampler = setInterval(() => {
    peak = Math.max(peak, memoryOf(child, job.provider) - before);
  }, 50);
  const report = await new Promise<StepReport>((resolve, reject) => {
    child.once('message', (message) => resolve(message as StepReport));
    child.once('exit', (code) => reject(new Error(`the measured process exited with ${code}`)));
  });
  clearInterval(sampler);
  return { ...report, peakMegabytes: Math.round(peak) };
}

/** Megabytes in use: of the whole GPU, or the process's anonymous memory, which excludes mapped weights. */
function memoryOf({ pid }: ChildProcess, provider: Provider): number {
  try {
    if (provider === 'cuda') {
      const flags = ['--query-gpu=memory.used', '--format=csv,noheader,nounits', '--id=0'];
      return Number(execFileSync('nvidia-smi', flags, { encoding: 'utf8' })) * 1.048576;
    }
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return (Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024) / 1e6;
  } catch {
    return 0;
  }
}

async function inTorch(
  python: string,
  { shape, type, tokens, textTokens }: StepReport,
): Promise<TorchReport> {
  const job = JSON.stringify({
    ...shape,
    type,
    tokens,
    textTokens,
    provider: flags.provider,
    steps: flags.steps,
  });
  const { stdout } = await promisify(execFile)(python, ['-m', 'bench.flux', job], { cwd: projectRoot });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as TorchReport;
}

function describe(
  references: number,
  report: StepReport & { peakMegabytes: number },
  torch?: TorchReport,
): string {
  const { type, tokens, secondsPerStep, flops, productRate, peakMegabytes, startUp } = report;
  const rate = flops / secondsPerStep;
  const giga = (perSecond: number) => `${(perSecond / 1e9).toPrecision(3)} GFLOP/s`;
  const lines = [
    `${references} references, ${tokens} tokens: ${secondsPerStep.toFixed(3)} s a step in ${type}, ${giga(rate)}, ` +
      `${((100 * rate) / productRate).toFixed(0)}% of a plain product's ${giga(productRate)}`,
    `  peak ${peakMegabytes} MB beyond the mapped files; start-up ${Object.entries(startUp)
      .map(([stage, seconds]) => `${stage} ${seconds.toFixed(2)} s`)
      .join(', ')}`,
  ];
  if (torch) {
    const ratio = (seconds: number) => `${(secondsPerStep / seconds).toFixed(2)} of it`;
    lines.push(`  PyTorch: eager ${torch.eager.toFixed(3)} s (ours ${ratio(torch.eager)})`);
    if (torch.compiled)
      lines.push(`  PyTorch: compiled ${torch.compiled.toFixed(3)} s (ours ${ratio(torch.compiled)})`);
  }
  return lines.join('\n');
}
