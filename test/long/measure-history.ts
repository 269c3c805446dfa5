/** `npm run measure:history`: how long a start and the first page of the history take, with 10,000 edits and with none. */
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { requestFile } from '../../server/engine/edit-files.ts';
import { RunningCompanion, temporaryHome } from '../server/http/running-companion.ts';
import { result } from '../server/jobs/scripted-engine.ts';
import { numbersFrom } from './options.ts';

const { edits, starts } = numbersFrom({ edits: 10_000, starts: 5 });

async function fill(home: string): Promise<void> {
  for (let order = 1; order <= edits; order++) {
    const id = randomUUID();
    const folder = path.join(home, 'edits', id);
    await mkdir(folder, { recursive: true });
    await writeFile(requestFile(folder), '');
    const record = {
      version: 2,
      id,
      order,
      created: new Date().toISOString(),
      sha256: 'a'.repeat(64),
      position: 0,
      request: {
        version: 1,
        instruction: `a red circle on a wooden table, number ${order}`,
        seed: 7,
        preview: true,
      },
      bytes: 1000,
      runs: 1,
      crashes: 0,
      interruptions: 0,
      pinned: false,
      fetched: true,
      life: { state: 'done', results: [result(7)] },
    };
    await writeFile(path.join(folder, 'state.json'), `${JSON.stringify(record, null, 2)}\n`);
  }
}

/** Median milliseconds until the first page of the history is there, and then of a search. */
async function measure(home: string): Promise<{ start: number; search: number }> {
  const times: { start: number; search: number }[] = [];
  for (let i = 0; i < starts; i++) {
    const started = performance.now();
    const companion = await RunningCompanion.start({ home });
    await companion.ask('/v1/edits');
    const start = performance.now() - started;
    const searching = performance.now();
    await companion.ask('/v1/edits?q=wooden+4711');
    times.push({ start, search: performance.now() - searching });
    await companion.stop();
  }
  const median = (of: 'start' | 'search') =>
    Math.round(times.map((time) => time[of]).sort((a, b) => a - b)[Math.floor(starts / 2)]!);
  return { start: median('start'), search: median('search') };
}

const [empty, full] = [await temporaryHome(), await temporaryHome()];
await fill(full);
const [without, withAll] = [await measure(empty), await measure(full)];
console.log(
  JSON.stringify({
    edits,
    milliseconds: { empty: without, full: withAll },
    ratio: Math.round((withAll.start / without.start) * 100) / 100,
  }),
);
