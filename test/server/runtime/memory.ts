/**
 * Measures what the weights of a transformer cost in anonymous memory when they are read in place. Linux only.
 *
 *     npm run measure:memory                 2 GB of float32, as the project promises
 *     npm run measure:memory -- 1024 F16     another width of the network, another type of the weights
 *
 * One JSON line on stdout; memory in megabytes, `added` beyond what the process took before.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { fluxTensors, headSize, writeWeights } from '../../../bench/weights.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { buildFlux, rotaryTables } from '../../../server/models/flux.ts';
import { Session } from '../../../server/runtime/session.ts';

export interface MemoryReport {
  readonly dtype: string;
  readonly weightsMegabytes: number;
  /** Peak anonymous memory, sampled while the session was opened and run. */
  readonly addedMegabytes: number;
}

const self = fileURLToPath(import.meta.url);
const textTokens = 16;
const grid = 8;

/** 0 of a process that has ended. */
function anonymousKilobytes(pid: number | 'self'): number {
  try {
    return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** In its own process: the memory before, then the session. */
async function runOnce(file: string): Promise<void> {
  const weights = await WeightsFile.open(file);
  process.send!(anonymousKilobytes('self'));
  const model = buildFlux(weights, grid * grid, textTokens);
  const session = await Session.open(model, { provider: 'cpu', copiesWeights: false });
  const inputs: Record<string, Float32Array> = { ...rotaryTables(headSize, textTokens, grid, grid) };
  for (const { name, shape } of model.inputs)
    inputs[name] ??= new Float32Array(shape.reduce((a, b) => a * b));
  for (let i = 0; i < 2; i++) await session.run(inputs, 'velocity');
  process.send!(anonymousKilobytes('self'));
  process.disconnect();
}

/** @param width of the network, a multiple of 128 */
export async function measureMemory(width: number, dtype: 'F32' | 'F16'): Promise<MemoryReport> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'acepp-memory-'));
  try {
    const file = path.join(folder, 'transformer.safetensors');
    // A width of 3072 makes 2 GB of float32.
    const bytes = writeWeights(file, fluxTensors({ width, double: 1, single: 1 }), dtype, 'zeros');
    const child = fork(self, ['--child', file], { execArgv: ['--import', 'tsx'] });
    let before = 0;
    let peak = 0;
    const sampler = setInterval(() => {
      if (before > 0) peak = Math.max(peak, anonymousKilobytes(child.pid!));
    }, 5);
    child.on('message', (kilobytes: number) => {
      before ||= kilobytes;
      peak = Math.max(peak, kilobytes);
      // Only the end of the process follows.
      if (kilobytes !== before) clearInterval(sampler);
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    clearInterval(sampler);
    if (code !== 0) throw new Error(`the measured process ended with ${code}`);
    return {
      dtype,
      weightsMegabytes: Math.round(bytes / 1e6),
      addedMegabytes: Math.round(((peak - before) * 1024) / 1e6),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === self) {
  const [first, second] = process.argv.slice(2);
  if (first === '--child') await runOnce(second!);
  else {
    const report = await measureMemory(Number(first ?? 3072), second === 'F16' ? 'F16' : 'F32');
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
}
