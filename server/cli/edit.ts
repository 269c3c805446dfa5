import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Plan } from '../../shared/protocol/plan.ts';
import { decodeContainer } from '../../shared/safetensors.ts';
import { requestFile, resultFile } from '../engine/edit-files.ts';
import { Engine } from '../engine/engine.ts';
import { planEdit } from '../engine/plan.ts';
import { readEditInput, sizesOf } from '../pipeline/input.ts';
import { printOneLine } from './failure.ts';
import { type Flags, readFlags } from './flags.ts';
import { isLogged, type LogLevel } from './log-level.ts';
import { outFile, writeResult } from './output.ts';
import { Progress } from './progress.ts';
import { encodeRequest } from './request.ts';
import { endingSignals } from './signals.ts';

/** `acepp edit`: one edit from the command line, with the same engine and pipeline as the page. */
export function edit(args: readonly string[]): Promise<number> {
  return printOneLine('edit', () => run(args));
}

async function run(args: readonly string[]): Promise<object> {
  const flags = readFlags(args);
  const out = flags.out === undefined ? undefined : await outFile(flags.out);
  const request = await encodeRequest(flags);
  if (flags.plan) return plan(request, flags);
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-edit-'));
  const progress = new Progress();
  const log = (level: LogLevel) => (text: string) => {
    if (isLogged(level, flags.logLevel)) progress.line(text);
  };
  const engine = new Engine({ provider: flags.provider, log: log('warn'), trace: log('debug') });
  const id = randomUUID();
  /** True while this folder has the only copy of the finished layer. */
  let isNeeded = false;
  const interrupt = () => engine.cancel(id);
  for (const signal of endingSignals) process.on(signal, interrupt);
  try {
    await writeFile(requestFile(folder), request);
    const [result] = await engine.run({ id, folder, runs: 1 }, (event) => progress.show(event));
    if (out) {
      isNeeded = true;
      await writeResult(resultFile(folder, 0), out, flags);
      isNeeded = false;
    }
    return { ...result, ...(out && { out }) };
  } finally {
    progress.end();
    await engine.stop();
    if (!isNeeded) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What the edit would be, by the pictures as they are; no model is loaded. */
async function plan(container: Uint8Array, { provider, logLevel }: Flags): Promise<Plan> {
  const input = await readEditInput(decodeContainer(container));
  const log = (text: string) => {
    if (isLogged('warn', logLevel)) console.error(text);
  };
  const engine = new Engine({ provider, log });
  return planEdit(engine, input.request, { ...input, sizes: sizesOf(input) });
}
