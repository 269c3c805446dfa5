import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../../../server/disk/paths.ts';
import { requestFile, resultFile } from '../../../server/engine/edit-files.ts';
import { Archive } from '../../../server/jobs/archive.ts';
import type { HistoryBudget } from '../../../server/jobs/history.ts';
import type { EditRecord } from '../../../server/jobs/record.ts';
import { Store } from '../../../server/jobs/store.ts';
import { encodeContainer } from '../../../shared/safetensors.ts';
import { pixels, temporaryHome } from '../http/running-companion.ts';
import { result } from './scripted-engine.ts';

const day = 86_400_000;
let home: string;
let announced: string[];
let log: string[];

beforeEach(async () => {
  home = await temporaryHome();
  [announced, log] = [[], []];
});
afterEach(() => rm(home, { recursive: true }));

const open = (budget: HistoryBudget = { days: 90, bytes: 1e9 }) =>
  Archive.open({
    store: new Store(home),
    budget,
    announce: (text) => announced.push(text),
    log: (text) => log.push(text),
  });

const editsFolder = () => path.join(home, 'edits');
const record = (order: number, changes: Partial<EditRecord> = {}): EditRecord => ({
  version: 2,
  id: randomUUID(),
  order,
  created: new Date().toISOString(),
  sha256: 'a'.repeat(64),
  position: 0,
  request: { version: 1, instruction: 'a red circle' },
  bytes: 100,
  runs: 1,
  crashes: 0,
  interruptions: 0,
  pinned: false,
  fetched: true,
  life: { state: 'done', results: [result(1)] },
  ...changes,
});

async function write(edit: EditRecord, state: string = JSON.stringify(edit)): Promise<EditRecord> {
  const folder = path.join(editsFolder(), edit.id);
  await mkdir(folder, { recursive: true });
  await writeFile(requestFile(folder), 'the request');
  await writeFile(path.join(folder, 'state.json'), state);
  return edit;
}

describe('a damaged record', () => {
  const good = record(1);
  const without = (key: keyof EditRecord) => JSON.stringify({ ...good, [key]: undefined });
  const damages: [string, string][] = [
    ['{}', '{}'],
    ['null', 'null'],
    ['[]', '[]'],
    ['a text', '"x"'],
    ['nothing', ''],
    ['half of it', JSON.stringify(good).slice(0, 80)],
    ['no created', without('created')],
    ['no life', without('life')],
    ['no bytes', without('bytes')],
    ['bytes that are none', JSON.stringify({ ...good, bytes: -1 })],
    ['a life that is none', JSON.stringify({ ...good, life: { state: 'done' } })],
    ['no order', without('order')],
    ['an id outside the home', JSON.stringify({ ...good, id: '../../x' })],
    ['the id of another', JSON.stringify({ ...good, id: randomUUID() })],
    ['another version', JSON.stringify({ ...good, version: 3 })],
  ];

  it.each(damages)('in %s is set aside by name, and the rest works', async (_, state) => {
    const first = await write(record(1));
    const damaged = await write(record(2), state);
    const last = await write(record(3));
    const outside = path.join(home, 'x');
    await mkdir(outside);
    // A budget with no room at all.
    const archive = await open({ days: 90, bytes: 0 });
    expect(archive.all()).toEqual([first, last]);
    await archive.clean();
    expect(archive.all()).toEqual([first, last]);
    expect(await stat(outside)).toBeDefined();
    expect(announced.join()).toContain(damaged.id);
    const [aside] = await readdir(path.join(editsFolder(), '.damaged'));
    expect(aside).toContain(damaged.id);
    const kept = path.join(editsFolder(), '.damaged', aside!);
    expect(await readFile(path.join(kept, 'state.json'), 'utf8')).toBe(state);
    expect(await readFile(requestFile(kept), 'utf8')).toBe('the request');
    announced = [];
    expect((await open()).all()).toEqual([first, last]);
    expect(announced).toEqual([]);
  });

  it('that is a folder, or in an unreadable folder, only costs that edit', async () => {
    const edit = await write(record(1));
    await mkdir(path.join(editsFolder(), randomUUID(), 'state.json'), { recursive: true });
    expect((await open()).all()).toEqual([edit]);
    expect(announced).toHaveLength(1);
  });

  it('of an edit that was never accepted is removed; foreign files stay', async () => {
    const never = randomUUID();
    await mkdir(path.join(editsFolder(), never), { recursive: true });
    await writeFile(requestFile(path.join(editsFolder(), never)), 'x');
    await mkdir(path.join(editsFolder(), 'holiday'));
    await writeFile(path.join(editsFolder(), 'note.txt'), 'x');
    if (process.platform !== 'win32') await symlink(home, path.join(editsFolder(), randomUUID()));
    expect((await open()).all()).toEqual([]);
    expect(announced).toEqual([]);
    const left = await readdir(editsFolder());
    expect(left).not.toContain(never);
    expect(left).toEqual(expect.arrayContaining(['holiday', 'note.txt']));
  });

  it('in the events is skipped', async () => {
    const { id } = await write(record(1));
    const store = new Store(home);
    const file = path.join(editsFolder(), id, 'events.jsonl');
    const event = { seq: 1, time: 'now', type: 'queued', position: 0 };
    const lines = ['null', '[]', '"x"', '{}', '{"seq":2}', '{"seq":"3","time":"","type":"note"}', 'x'];
    const unknown = { seq: 2, time: 'now', type: 'explode' };
    const hollow = { seq: 2, time: 'now', type: 'done' };
    await writeFile(
      file,
      `${[...lines, JSON.stringify(event), JSON.stringify(unknown), JSON.stringify(hollow)].join('\n')}\n`,
    );
    expect(await store.events(id)).toEqual([event]);
    await rm(file);
    await mkdir(file);
    expect(await store.events(id)).toEqual([]);
    await store.rewrite(id, [{ seq: 1, time: 'now', type: 'cancelled' }]);
    expect(await store.events(id)).toHaveLength(1);
  });
});

describe('the history', () => {
  it('is ordered by a counter: with the clock set back, the newest is still the newest', async () => {
    const ids = [];
    for (const [i, time] of ['2026-05-01', '2020-01-01', '2031-01-01', '2019-01-01'].entries()) {
      ids.push((await write(record(i + 1, { created: new Date(time).toISOString() }))).id);
    }
    const archive = await open({ days: 1e6, bytes: 200 });
    expect(archive.history().edits.map(({ id }) => id)).toEqual([...ids].reverse());
    expect(archive.nextOrder()).toBe(5);
    await archive.clean();
    // The oldest are removed; the one from 2031 is less than a day old by this clock.
    expect(archive.all().map(({ id }) => id)).toEqual(ids.slice(2));
  });

  it('keeps pinned, unfetched, unfinished and today’s edits', async () => {
    const old = { created: new Date(Date.now() - 100 * day).toISOString() };
    const failed = { state: 'failed', problem: { code: 'engine-died', status: 500, detail: '', remedy: '' } };
    const edits = {
      pinned: record(1, { ...old, pinned: true }),
      plain: record(2, old),
      unfetched: record(3, { ...old, fetched: false }),
      waiting: record(4, { ...old, life: { state: 'queued' } }),
      failed: record(5, { ...old, fetched: false, life: failed as EditRecord['life'] }),
      today: record(6),
    };
    for (const edit of Object.values(edits)) await write(edit);
    for (const budget of [
      { days: 90, bytes: 1e9 },
      { days: 1e6, bytes: 0 },
    ]) {
      const archive = await open(budget);
      await archive.clean();
      const kept = archive.all().map(({ id }) => id);
      const { pinned, unfetched, waiting, today } = edits;
      expect(kept).toEqual([pinned, unfetched, waiting, today].map(({ id }) => id));
      expect((await readdir(editsFolder())).filter((name) => !name.startsWith('.')).sort()).toEqual(
        [...kept].sort(),
      );
      await write(edits.plain);
      await write(edits.failed);
    }
  });

  it('removes the oldest first, and no more than needed', async () => {
    const old = { created: new Date(Date.now() - 2 * day).toISOString() };
    const ids = [];
    for (let i = 1; i <= 5; i++) ids.push((await write(record(i, old))).id);
    const archive = await open({ days: 90, bytes: 250 });
    await archive.clean();
    expect(archive.all().map(({ id }) => id)).toEqual(ids.slice(3));
  });

  it('finds words of the instruction, the task and the model, in pages', async () => {
    for (let i = 1; i <= 120; i++) {
      const instruction = i % 2 ? 'A red Circle' : 'a blue square';
      await write(record(i, { request: { version: 1, instruction } }));
    }
    const archive = await open();
    const pages = [];
    for (let before: string | null | undefined; before !== null; ) {
      const page = archive.history(before, 'circle RED');
      pages.push(page.edits.length);
      before = page.next;
    }
    expect(pages).toEqual([50, 10]);
    expect(archive.history(undefined, 'red square').edits).toEqual([]);
    expect(archive.history(undefined, 'inpaint tiny blue').edits).toHaveLength(50);
  });

  it('pins and removes an edit, also across a restart', async () => {
    const edit = await write(record(1));
    const running = await write(record(2, { life: { state: 'running' } }));
    const archive = await open();
    await archive.pin(edit.id, true);
    expect((await open()).history().edits[1]).toMatchObject({ id: edit.id, pinned: true });
    await archive.remove(edit.id);
    await expect(archive.remove(running.id)).rejects.toMatchObject({ code: 'edit-not-over' });
    await expect(archive.remove(edit.id)).rejects.toMatchObject({ code: 'not-found' });
    expect((await open()).all().map(({ id }) => id)).toEqual([running.id]);
  });
});

describe('a result', () => {
  const layer = encodeContainer({
    metadata: {
      bounds: JSON.stringify({ left: 0, top: 0, width: 600, height: 300 }),
      seed: '1',
      result: JSON.stringify(result(1)),
    },
    tensors: new Map([['layer', pixels([300, 600, 4], (i) => (i % 4 === 3 ? 255 : i % 256))]]),
  });
  async function withResult(bytes: Uint8Array): Promise<{ archive: Archive; id: string; file: string }> {
    const { id } = await write(record(1));
    const file = resultFile(path.join(editsFolder(), id), 0);
    await writeFile(file, bytes);
    return { archive: await open(), id, file };
  }

  it('has a thumbnail that is made once and counts towards the budget', async () => {
    const { archive, id, file } = await withResult(layer);
    const [png, same] = await Promise.all([archive.thumbnail(id), archive.thumbnail(id)]);
    expect(await sharp(png).metadata()).toMatchObject({ format: 'png', width: 256, height: 128 });
    expect(same).toEqual(png);
    await rm(file);
    expect(Buffer.from(await archive.thumbnail(id)).equals(png)).toBe(true);
    expect(archive.bytes()).toBe(100 + png.length);
    expect((await open()).bytes()).toBe(100 + png.length);
  });

  it('of an edit that is removed while it is read is not found', async () => {
    const { archive, id } = await withResult(layer);
    const reads = [archive.thumbnail(id), archive.readResult(id, 0), archive.openResult(id, 0)];
    await archive.remove(id);
    for (const read of await Promise.allSettled(reads)) {
      if (read.status === 'rejected') expect(read.reason).toMatchObject({ code: 'not-found' });
      else if ('handle' in read.value) await read.value.handle.close();
    }
    const file = path.join(editsFolder(), id, 'thumbnail.png');
    expect(await readFile(file).catch(() => undefined)).toBeUndefined();
  });

  it.each([
    ['missing', undefined],
    ['empty', new Uint8Array(0)],
    ['cut short', layer.subarray(0, layer.length - 1)],
    ['longer than it says', new Uint8Array([...layer, 0])],
    ['something else', new Uint8Array(1000).fill(120)],
  ])('that is %s is a server error', async (_, bytes) => {
    const { archive, id, file } = await withResult(bytes ?? layer);
    if (!bytes) await rm(file);
    await expect(archive.openResult(id, 0)).rejects.toMatchObject({ code: 'result-damaged' });
    await expect(archive.readResult(id, 0)).rejects.toMatchObject({ code: 'result-damaged' });
    await expect(archive.thumbnail(id)).rejects.toMatchObject({ code: 'result-damaged' });
  });
});

describe('a home of 0.1.0', () => {
  const fixture = path.join(projectRoot, 'test/server/jobs/home-0.1.0');
  const names = {
    done: '2d3111eb-3352-44fd-9f94-b8f3d63141fc',
    second: 'b5eb49a4-b3fe-452f-b06c-f4eb2627a51d',
    running: '2aa55c65-9898-4bf8-b29a-b2f18895b9bf',
    cancelled: '5e680ea1-fa9f-48c5-9fbc-dceb23a30a03',
    waiting: '56cd6c93-837d-485f-bd77-792806c2f136',
    waitingToo: 'e0901e4f-bea9-4ed5-9b14-35c2cd838872',
  };

  it('is migrated once, in order, with a note to the user', async () => {
    await cp(fixture, home, { recursive: true });
    await writeFile(path.join(editsFolder(), names.done, 'state.json.tmp'), 'half');
    const stray = path.join(editsFolder(), names.done, 'state.json.tmp');
    await utimes(stray, new Date(2020, 1), new Date(2020, 1));
    const archive = await open();
    await archive.sweep();
    expect(existsSync(stray)).toBe(false);
    expect(archive.all().map(({ id, life }) => [id, life.state])).toEqual([
      [names.done, 'done'],
      [names.second, 'done'],
      // 0.1.0 didn't record what was running.
      [names.running, 'queued'],
      [names.cancelled, 'cancelled'],
      [names.waiting, 'queued'],
      [names.waitingToo, 'queued'],
    ]);
    expect(announced).toEqual(['Edits of an earlier version were taken over: 6.']);
    expect((await archive.readResult(names.done, 0)).tensors.has('layer')).toBe(true);
    announced = [];
    const again = await open();
    expect(again.all()).toEqual(archive.all());
    expect(again.nextOrder()).toBe(7);
    expect(announced).toEqual([]);
  });
});
