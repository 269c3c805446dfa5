/** The disk is full at each write of an edit's life, one after another: nothing ends, and nothing is half there. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { projectRoot } from '../../server/disk/paths.ts';
import type { History } from '../../shared/protocol/answers.ts';
import { RunningCompanion, squareEdit, temporaryHome } from '../server/http/running-companion.ts';

const body = squareEdit({ side: 16, request: { steps: 1 } });

export interface DiskFullReport {
  /** What the write was for: it was the first that failed. */
  readonly writes: readonly string[];
  readonly wrong: readonly string[];
}

/** @param from,most which writes fail: from this one on, and so many of them at most */
export async function fillDisk(who: 'companion' | 'engine', from = 1, most = 1000): Promise<DiskFullReport> {
  const writes: string[] = [];
  const wrong: string[] = [];
  for (let at = from; at < from + most; at++) {
    const end = await oneLife(who, at);
    if (end === undefined) break;
    writes.push(end.what);
    wrong.push(...end.wrong.map((text) => `${who}, write ${at} (${end.what}): ${text}`));
  }
  return { writes, wrong };
}

/** @returns undefined where the edit has no such write */
async function oneLife(who: string, at: number): Promise<{ what: string; wrong: string[] } | undefined> {
  const home = await temporaryHome();
  const marker = path.join(home, 'disk-is-full');
  const shim = path.join(projectRoot, 'test/long/failing-disk.cjs');
  const env = {
    NODE_OPTIONS: `--require ${shim}`,
    ACEPP_FULL_AT: String(at),
    ACEPP_FULL_IN: who,
    ACEPP_FULL_WHILE: marker,
  };
  const companion = await RunningCompanion.start({ home, env });
  const wrong: string[] = [];
  try {
    const id = randomUUID();
    await writeFile(`${marker}.armed`, '');
    const answer = await companion.put(body, id);
    const last = answer.status === 202 ? (await companion.follow(id)).at(-1) : undefined;
    const thumbnail = last?.type === 'done' ? await companion.ask(`/v1/edits/${id}/thumbnail`) : undefined;
    if (!existsSync(marker)) return undefined;
    const what = path.basename(await readFile(marker, 'utf8'));
    // The life that is over here is a success, or says what is missing.
    if (answer.status !== 202 && answer.json().code !== 'disk-full')
      wrong.push(`refused with ${answer.body.toString()}`);
    if (last?.type === 'failed' && last.problem.code !== 'disk-full')
      wrong.push(`failed as ${last.problem.code}: ${last.problem.detail}`);
    if (thumbnail && thumbnail.status !== 200 && thumbnail.json().code !== 'disk-full')
      wrong.push(`thumbnail: ${thumbnail.body.toString()}`);
    await rm(marker);
    // With space again, everything goes on.
    const next = (await companion.follow(await companion.send(body))).at(-1);
    if (next?.type !== 'done') wrong.push(`the next edit: ${JSON.stringify(next)}`);
    if (companion.child.exitCode !== null) wrong.push('the companion ended');
    const before = await states(companion);
    await companion.stop('SIGKILL');
    const again = await RunningCompanion.start({ home });
    for (const each of Object.keys(before)) await again.follow(each);
    const after = await states(again);
    for (const [each, state] of Object.entries(before)) {
      // How it ended could not be written: it is run again.
      if (state !== after[each] && after[each] !== 'done')
        wrong.push(`${each} was ${state}, is ${after[each]}`);
    }
    if (/damaged/.test(again.stderr())) wrong.push(again.stderr());
    const left = (await readdir(path.join(home, 'edits'), { recursive: true })).filter((name) =>
      /\.(tmp|part)$/.test(name),
    );
    if (left.length > 0) wrong.push(`left behind: ${left}`);
    await again.stop();
    return { what, wrong };
  } finally {
    await companion.remove();
  }
}

async function states(companion: RunningCompanion): Promise<Record<string, string>> {
  const { edits } = (await companion.ask('/v1/edits')).json<History>();
  return Object.fromEntries(edits.map(({ id, state }) => [id, state]));
}
