import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import { decodeContainer } from '../../shared/safetensors.ts';
import { requestFile } from '../engine/edit-files.ts';
import { Engine } from '../engine/engine.ts';
import { planEdit } from '../engine/plan.ts';
import { readEditInput, sizesOf } from '../pipeline/input.ts';
import { type RunOne, runBatch } from './batch.ts';
import { printOneLine } from './failure.ts';
import { type Flags, readFlags } from './flags.ts';
import { isLogged, type LogLevel } from './log-level.ts';
import { checkOutput, checkSpace, type Output, writeOutput } from './output.ts';
import { Progress } from './progress.ts';
import { encodeRequest } from './request.ts';
import { endingSignals } from './signals.ts';
import { keepUnsaved } from './unsaved.ts';

/**
 * `acepp edit`: edits without the page, using the same engine and pipeline; prints one line of JSON per edit.
 */
export async function edit(args: readonly string[]): Promise<number> {
  const flags: { read?: Flags } = {};
  const code = await printOneLine('edit', async () => {
    flags.read = readFlags(args);
    if (flags.read.plan) return plan(flags.read);
    if (flags.read.batch !== undefined) return undefined;
    return withEngine(flags.read, (run) => run(flags.read as Flags));
  });
  const { read } = flags;
  if (code !== 0 || read?.batch === undefined || read.plan) return code;
  return withEngine(read, (run) => runBatch(read, run));
}

/** Loads each model once for all edits of a command. */
async function withEngine<T>(flags: Flags, use: (run: RunOne) => Promise<T>): Promise<T> {
  const progress = new Progress();
  const log = (level: LogLevel) => (text: string) => {
    if (isLogged(level, flags.logLevel)) progress.line(text);
  };
  const engine = new Engine({ provider: flags.provider, log: log('warn'), trace: log('debug') });
  try {
    return await use((each) => runOne(engine, progress, each));
  } finally {
    progress.end();
    await engine.stop();
  }
}

async function runOne(engine: Engine, progress: Progress, flags: Flags): Promise<object> {
  const inputs = [flags.image, flags.mask, ...flags.reference].filter((file) => file !== undefined);
  const output = await checkOutput('edit', flags, inputs);
  const { container, picture } = await encodeRequest(flags);
  await checkSpace(output, picture, flags);
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-edit-'));
  const id = randomUUID();
  const interrupt = () => engine.cancel(id);
  for (const signal of endingSignals) process.on(signal, interrupt);
  try {
    await writeFile(requestFile(folder), container);
    const [result] = await engine.run({ id, folder, runs: 1 }, (event) => progress.show(event));
    const written = await writeOrKeep(folder, id, output);
    for (const note of written) progress.line(note);
    const notes = [...(result?.notes ?? []), ...written];
    return { ...result, ...(notes.length > 0 && { notes: [...new Set(notes)] }), out: output.file };
  } finally {
    progress.end();
    for (const signal of endingSignals) process.off(signal, interrupt);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Writes the result; if that fails, keeps the finished edit for `acepp save`. */
async function writeOrKeep(folder: string, id: string, output: Output): Promise<readonly string[]> {
  try {
    return await writeOutput(folder, output);
  } catch (thrown) {
    const error = CodedError.from(thrown);
    await keepUnsaved(folder, id);
    throw new CodedError(error.code, {
      detail: error.detail,
      remedy: `The finished edit is kept: "acepp save ${id} --out FILE" writes it. ${error.remedy}`,
      cause: thrown,
    });
  }
}

/** Describes the edit, based on the pictures as they are; loads no model. */
async function plan(flags: Flags): Promise<Plan> {
  const { container } = await encodeRequest(flags);
  const input = await readEditInput(decodeContainer(container));
  const log = (text: string) => {
    if (isLogged('warn', flags.logLevel)) console.error(text);
  };
  const engine = new Engine({ provider: flags.provider, log });
  return planEdit(engine, input.request, { ...input, sizes: sizesOf(input) });
}
