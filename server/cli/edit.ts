import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { requestFile } from '../engine/edit-files.ts';
import { Engine } from '../engine/engine.ts';
import { printOneLine } from './failure.ts';
import { type Flags, readFlags } from './flags.ts';
import { isLogged, type LogLevel } from './log-level.ts';
import { checkOutput, checkSpace, type Output, writeOutput } from './output.ts';
import { Progress } from './progress.ts';
import { encodeRequest } from './request.ts';
import { endingSignals } from './signals.ts';
import { keepUnsaved } from './unsaved.ts';

/** `acepp edit`: one edit without the page, by the same engine and pipeline. */
export function edit(args: readonly string[]): Promise<number> {
  return printOneLine('edit', () => run(args));
}

async function run(args: readonly string[]): Promise<object> {
  return runEdit(readFlags(args));
}

/**
 * One edit from its flags to its file.
 * @throws CodedError
 */
export async function runEdit(flags: Flags): Promise<object> {
  const inputs = [flags.image, flags.mask, ...flags.reference].filter((file) => file !== undefined);
  const output = await checkOutput('edit', flags, inputs);
  const { container, picture } = await encodeRequest(flags);
  await checkSpace(output, picture, flags);
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-edit-'));
  const progress = new Progress();
  const log = (level: LogLevel) => (text: string) => {
    if (isLogged(level, flags.logLevel)) progress.line(text);
  };
  const engine = new Engine({ provider: flags.provider, log: log('warn'), trace: log('debug') });
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
    await engine.stop();
    for (const signal of endingSignals) process.off(signal, interrupt);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Writes the result; where that fails, the finished edit is kept for `acepp save`. */
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
