import { randomUUID } from 'node:crypto';
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HistoryBudget } from '../../../server/jobs/history.ts';
import { Jobs } from '../../../server/jobs/jobs.ts';
import { LocalQueue } from '../../../server/jobs/local-queue.ts';
import { CodedError } from '../../../shared/errors.ts';
import { squareEdit, temporaryHome } from '../http/running-companion.ts';
import { result, ScriptedEngine } from './scripted-engine.ts';

const body = squareEdit({ side: 16 });
const anyone = new AbortController().signal;
const log: string[] = [];
const announced: string[] = [];
let home: string;
let scripted: ScriptedEngine;
let jobs: Jobs;

const unlimited = { days: 1e6, bytes: Number.POSITIVE_INFINITY };
const open = (budget: HistoryBudget = unlimited) =>
  Jobs.open({
    home,
    openQueue: (listener) =>
      new LocalQueue({ engine: scripted.engine, listener, log: (text) => log.push(text) }),
    budget,
    announce: (text) => announced.push(text),
    log: (text) => log.push(text),
  });
/** What a killed companion leaves for the next one to find. */
async function restart(isQuick = true): Promise<void> {
  scripted.isDead = true;
  scripted = new ScriptedEngine();
  scripted.isQuick = isQuick;
  jobs = await open();
}

beforeEach(async () => {
  log.length = 0;
  announced.length = 0;
  home = await temporaryHome();
  scripted = new ScriptedEngine();
  jobs = await open();
});
afterEach(async () => {
  await jobs.close();
  await rm(home, { recursive: true });
});

const accept = (id: string = randomUUID()) => jobs.accept(id, Readable.from([Buffer.from(body)]));

const eventsFile = (id: string) => path.join(home, 'edits', id, 'events.jsonl');
const eventsOf = (id: string) => readFile(eventsFile(id), 'utf8').catch(() => '');

async function finished(id: string): Promise<string> {
  for (let after = 0; ; ) {
    const poll = await jobs.poll(id, after, 5, anyone);
    if (poll.state !== 'queued' && poll.state !== 'running') return poll.state;
    after = poll.next;
  }
}

describe('the queue', () => {
  it('reruns an earlier edit’s request as a new edit', async () => {
    const { id } = await accept();
    await finished(id);
    const again = randomUUID();
    expect(await jobs.runAgain(again, id)).toEqual({ id: again, state: 'queued', position: 0 });
    expect(await jobs.runAgain(again, id)).toEqual({ id: again, state: 'queued', position: 0 });
    expect(await finished(again)).toBe('done');
    await jobs.archive.remove(id);
    const third = randomUUID();
    await jobs.runAgain(third, again);
    expect(await finished(third)).toBe('done');
    await rm(path.join(home, 'edits', third, 'request.safetensors'));
    await expect(jobs.runAgain(randomUUID(), third)).rejects.toMatchObject({ code: 'result-damaged' });
  });

  it('cancels all edits without starting any in between', async () => {
    scripted.isQuick = false;
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await accept()).id);
    await expect.poll(() => scripted.waiting.length).toBe(1);
    expect(jobs.queue().map(({ id }) => id)).toEqual(ids);
    expect([...(await jobs.cancelAll())].sort()).toEqual([...ids].sort());
    for (const id of ids) expect(await finished(id)).toBe('cancelled');
    expect(scripted.started).toEqual([ids[0]]);
    expect(jobs.queue()).toEqual([]);
  });

  it('rejects edits when full, and accepts them again later', async () => {
    scripted.isQuick = false;
    const { id: first } = await accept();
    await expect.poll(() => scripted.waiting.length).toBe(1);
    const ids = [];
    for (let i = 0; i < 32; i++) ids.push((await accept()).id);
    const refused = await accept().catch((error) => error);
    expect(refused).toBeInstanceOf(CodedError);
    expect(refused.code).toBe('queue-full');
    await jobs.cancel(ids[0]!);
    expect((await accept()).position).toBe(32);
    scripted.isQuick = true;
    scripted.waiting[0]!();
    expect(await finished(first)).toBe('done');
    expect(await finished(ids[31]!)).toBe('done');
    expect(await finished(ids[0]!)).toBe('cancelled');
  });
});

describe('the store', () => {
  it('never reports an end without its event, however often it is polled', async () => {
    for (let i = 0; i < 20; i++) {
      const { id } = await accept();
      let poll = await jobs.poll(id, 0, 0, anyone);
      while (poll.state === 'queued' || poll.state === 'running') {
        await new Promise(setImmediate);
        poll = await jobs.poll(id, 0, 0, anyone);
      }
      expect(poll.events.at(-1)?.type).toBe(poll.state);
    }
  });

  it('does not treat an edit as lost if its last event was written but its state was not', async () => {
    const { id } = await accept();
    await finished(id);
    const other = randomUUID();
    scripted.isQuick = false;
    await accept(other);
    await expect.poll(() => eventsOf(other)).toContain('encoding');
    const event = { seq: 3, time: new Date().toISOString(), type: 'done', results: [result(5)] };
    const half = '{"seq":4,"ti';
    await appendFile(eventsFile(other), `${JSON.stringify(event)}\n${half}`);
    await restart();
    const poll = await jobs.poll(other, 2, 0, anyone);
    expect(poll).toMatchObject({ state: 'done', events: [{ seq: 3, results: [{ seed: 5 }] }] });
  });

  it('reports how an edit ended even if its last event could not be written', async () => {
    const { id } = await accept();
    expect(await finished(id)).toBe('done');
    const lines = (await eventsOf(id)).trim().split('\n');
    // What a full disk leaves: a truncated line, followed by another.
    await writeFile(eventsFile(id), `${lines.slice(0, 2).join('\n')}\n{"seq":3,"ti{"seq":4}\n`);
    const poll = await jobs.poll(id, 2, 0, anyone);
    expect(poll).toMatchObject({ state: 'done', events: [{ seq: 3, type: 'done' }], next: 3 });
    await rm(eventsFile(id));
    expect((await jobs.poll(id, 7, 0, anyone)).events).toMatchObject([{ seq: 8, type: 'done' }]);
  });

  it('cancels an edit still being written to disk once it is written', async () => {
    scripted.isQuick = false;
    await accept();
    for (let i = 0; i < 20; i++) {
      const id = randomUUID();
      const accepted = accept(id);
      let record: unknown;
      while (!record) {
        await new Promise(setImmediate);
        record = await jobs.cancel(id).catch(() => undefined);
      }
      await accepted;
      const { state, events } = await jobs.poll(id, 0, 0, anyone);
      expect([state, ...events.map(({ type }) => type)]).toEqual(['cancelled', 'queued', 'cancelled']);
    }
  });

  it('accepts nothing during shutdown', async () => {
    const closing = jobs.close();
    await expect(accept()).rejects.toMatchObject({ code: 'companion-gone' });
    await closing;
  });

  it('fails an edit whose result is missing, and continues', async () => {
    scripted.isLying = true;
    const { id } = await accept();
    expect(await finished(id)).toBe('failed');
    expect((await jobs.poll(id, 0, 0, anyone)).events.at(-1)).toMatchObject({
      problem: {
        code: 'result-damaged',
        status: 500,
        detail: expect.stringContaining('result.0.safetensors'),
      },
    });
    scripted.isLying = false;
    expect(await finished((await accept()).id)).toBe('done');
  });
});

describe('polls', () => {
  it('are answered in time even during garbage collection', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    scripted.isQuick = false;
    const { id } = await accept();
    const { next } = await jobs.poll(id, 0, 5, anyone);
    await expect.poll(() => scripted.waiting.length).toBe(1);
    const last = (await jobs.poll(id, next, 0, anyone)).next;
    const answered = Array.from({ length: 20 }, () =>
      jobs.poll(id, last, 1, new AbortController().signal).then(() => true),
    );
    for (let i = 0; i < 10; i++) {
      collect();
      await sleep(50);
    }
    const late = sleep(20_000).then(() => false);
    expect(await Promise.all(answered.map((poll) => Promise.race([poll, late])))).toEqual(
      Array.from({ length: 20 }, () => true),
    );
  });

  it('end when their client disconnects, and leave nothing behind', async () => {
    scripted.isQuick = false;
    const { id } = await accept();
    await expect.poll(() => scripted.waiting.length).toBe(1);
    const { next } = await jobs.poll(id, 0, 0, anyone);
    const gone = new AbortController();
    const poll = jobs.poll(id, next, 30, gone.signal);
    gone.abort();
    expect((await poll).events).toEqual([]);
  });
});

describe('after a restart', () => {
  it('waiting edits run once, in order, and the one that was running is rerun with a note', async () => {
    scripted.isQuick = false;
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push((await accept()).id);
    await expect.poll(() => scripted.waiting.length).toBe(1);
    await jobs.move(ids[3]!, 0);
    const seen = (await jobs.poll(ids[0]!, 0, 0, anyone)).next;
    await restart();
    for (const id of ids) expect(await finished(id)).toBe('done');
    expect(scripted.started).toEqual([ids[0], ids[3], ids[1], ids[2]]);
    const { events } = await jobs.poll(ids[0]!, 0, 0, anyone);
    expect(events.filter(({ type }) => type === 'note')).toMatchObject([
      { text: expect.stringContaining('restarted') },
    ]);
    expect(events.at(-1)).toMatchObject({ type: 'done', results: [{ runs: 2 }] });
    expect(events.map(({ seq }) => seq)).toEqual([...events.map(({ seq }) => seq)].sort((a, b) => a - b));
    // A client that polled the old companion misses no events of the new one.
    const fresh = events.slice(events.findIndex(({ type }) => type === 'note'));
    expect(fresh.every(({ seq }) => seq > seen)).toBe(true);
    const other = (await jobs.poll(ids[1]!, 0, 0, anyone)).events.at(-1);
    expect(other).toMatchObject({ results: [expect.not.objectContaining({ runs: 2 })] });
    await restart();
    expect(scripted.started).toEqual([]);
  });

  it('a clean shutdown never counts as an interruption', async () => {
    scripted.isQuick = false;
    const { id } = await accept();
    for (let i = 0; i < 12; i++) {
      await expect.poll(() => scripted.started.length).toBe(1);
      await jobs.close();
      await restart(false);
    }
    await expect.poll(() => scripted.waiting.length).toBe(1);
    scripted.waiting[0]!();
    expect(await finished(id)).toBe('done');
  });

  it('an edit that crashes the companion ten times is given up, and the next one runs', async () => {
    scripted.isQuick = false;
    const { id } = await accept();
    const { id: next } = await accept();
    for (let i = 0; i < 10; i++) {
      await vi.waitFor(() => expect(scripted.started).toEqual([id]));
      await vi.waitFor(async () => expect(await eventsOf(id)).toMatch(/encoding"[\s\S]*\n$/));
      await restart(i === 9);
    }
    expect(await finished(id)).toBe('failed');
    expect((await jobs.poll(id, 0, 0, anyone)).events.at(-1)).toMatchObject({
      problem: { code: 'edit-crashed' },
    });
    expect(await finished(next)).toBe('done');
  });

  it('engine crashes keep being counted', async () => {
    scripted.deaths = 2;
    scripted.isQuick = false;
    const { id } = await accept();
    await expect.poll(() => scripted.waiting.length).toBe(1);
    scripted.isDead = true;
    scripted = new ScriptedEngine();
    scripted.deaths = 1;
    jobs = await open();
    expect(await finished(id)).toBe('failed');
    expect(scripted.started).toEqual([id]);
  });

  it('an edit can be cancelled, moved, and resent for the same answer', async () => {
    scripted.isQuick = false;
    const { id: first } = await accept();
    const { id, position } = await accept();
    await restart(false);
    expect(await accept(id)).toEqual({ id, state: 'queued', position });
    await jobs.cancel(id);
    await jobs.cancel(first);
    expect(await finished(id)).toBe('cancelled');
    expect(await finished(first)).toBe('cancelled');
  });
});
