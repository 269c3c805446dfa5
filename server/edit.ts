/** `npm run edit`: one edit without the page, by the same engine and pipeline. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { printOneLine } from './cli/failure.ts';
import { readFlags } from './cli/flags.ts';
import { outFile, writeResult } from './cli/output.ts';
import { Progress } from './cli/progress.ts';
import { encodeRequest } from './cli/request.ts';
import { requestFile, resultFile } from './engine/edit-files.ts';
import { Engine } from './engine/engine.ts';

await printOneLine('edit', main);

async function main(): Promise<object> {
  const flags = readFlags();
  const out = flags.out === undefined ? undefined : await outFile(flags.out);
  const request = await encodeRequest(flags);
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-edit-'));
  const progress = new Progress();
  const engine = new Engine({ provider: flags.provider, log: (text) => progress.line(text) });
  const id = randomUUID();
  /** While the finished layer is nowhere else. */
  let isNeeded = false;
  const interrupt = () => engine.cancel(id);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
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
    if (!isNeeded) await rm(folder, { recursive: true, force: true });
  }
}
