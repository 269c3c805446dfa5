import { randomUUID } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resultFile } from '../../../server/engine/edit-files.ts';
import { Jobs, type JobsParts } from '../../../server/jobs/jobs.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { EditResult } from '../../../shared/protocol/result.ts';
import { squareEdit, temporaryHome } from '../http/running-companion.ts';

const result = (seed: number): EditResult => ({
  variant: 0,
  bounds: { left: 0, top: 0, width: 1, height: 1 },
  seed,
  steps: 1,
  guidance: 1,
  task: 'inpaint',
  model: 'tiny',
  adapters: [],
  provider: 'cpu',
  workSize: { width: 16, height: 16 },
  timings: {},
});

/** An engine that ends its edits when it is told to: hundreds of edits in a moment. */
class ScriptedEngine implements Pick<JobsParts, 'engine'> {
  readonly waiting: (() => void)[] = [];
  isQuick = true;
  readonly engine: JobsParts['engine'] = {
    run: async (_id, folder, onEvent) => {
      onEvent({ type: 'stage', stage: 'encoding', variant: 0, variants: 1 });
      if (!this.isQuick) await new Promise<void>((resolve) => this.waiting.push(resolve));
      await writeFile(resultFile(folder, 0), 'x'.repeat(100));
      return [result(1)];
    },
    cancel: () => {},
    stop: async () => {},
  };
}

const body = squareEdit({ side: 16 });
const anyone = new AbortController().signal;
const log: string[] = [];
let home: string;
let scripted: ScriptedEngine;
let jobs: Jobs;

const open = () => Jobs.open({ home, engine: scripted.engine, log: (text) => log.push(text) });

beforeEach(async () => {
  log.length = 0;
  home = await temporaryHome();
  scripted = new ScriptedEngine();
  jobs = await open();
});
afterEach(() => rm(home, { recursive: true }));

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
  it('refuses more edits than anyone would wait for, and takes them again later', async () => {
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
  it('never tells an end without its event, however often it is asked', async () => {
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

  it('keeps the newest 200 edits and their files, in pages of the history', async () => {
    const ids = [];
    for (let i = 0; i < 205; i++) {
      const { id } = await accept();
      await finished(id);
      ids.push(id);
    }
    const seen: string[] = [];
    for (let before: string | undefined; ; ) {
      const page = jobs.history(before);
      seen.push(...page.edits.map(({ id }) => id));
      if (page.next === null) break;
      before = page.next;
    }
    expect(seen).toEqual(ids.slice(-200).reverse());
    const folders = (await readdir(path.join(home, 'edits'))).filter((name) => name !== '.incoming');
    expect(folders.sort()).toEqual(ids.slice(-200).sort());
    await expect(jobs.poll(ids[0]!, 0, 0, anyone)).rejects.toThrow('There is no edit');
  });

  it('does not take an edit for lost whose last event was written and whose state was not', async () => {
    const { id } = await accept();
    await finished(id);
    const other = randomUUID();
    scripted.isQuick = false;
    await accept(other);
    await expect.poll(() => eventsOf(other)).toContain('encoding');
    const event = { seq: 3, time: new Date().toISOString(), type: 'done', results: [result(5)] };
    const half = '{"seq":4,"ti';
    await appendFile(eventsFile(other), `${JSON.stringify(event)}\n${half}`);
    jobs = await open();
    const poll = await jobs.poll(other, 2, 0, anyone);
    expect(poll).toMatchObject({ state: 'done', events: [{ seq: 3, results: [{ seed: 5 }] }] });
  });

  it('tells that an edit was abandoned, also where its last line was cut off', async () => {
    scripted.isQuick = false;
    const { id } = await accept();
    await expect.poll(() => eventsOf(id)).toContain('encoding');
    await appendFile(eventsFile(id), '{"seq":3,"ti');
    for (let start = 0; start < 2; start++) {
      jobs = await open();
      const { events } = await jobs.poll(id, 0, 0, anyone);
      expect(events.map(({ seq, type }) => [seq, type])).toEqual([
        [1, 'queued'],
        [2, 'stage'],
        [3, 'failed'],
      ]);
    }
  });

  it('tells how an edit ended to whoever saw more events than were written before the companion was killed', async () => {
    scripted.isQuick = false;
    const { id } = await accept();
    await expect.poll(() => eventsOf(id)).toContain('encoding');
    const seen = (await jobs.poll(id, 0, 0, anyone)).next;
    const [first] = (await eventsOf(id)).split('\n');
    await writeFile(eventsFile(id), `${first}\n`);
    jobs = await open();
    const poll = await jobs.poll(id, seen, 0, anyone);
    expect(seen).toBe(2);
    expect(poll).toMatchObject({ state: 'failed', events: [{ seq: 2, type: 'failed' }] });
  });

  it('tells how an edit ended where its last event could not be written', async () => {
    const { id } = await accept();
    expect(await finished(id)).toBe('done');
    const lines = (await eventsOf(id)).trim().split('\n');
    // As a full disk leaves it: a line that is cut, and another one after it.
    await writeFile(eventsFile(id), `${lines.slice(0, 2).join('\n')}\n{"seq":3,"ti{"seq":4}\n`);
    const poll = await jobs.poll(id, 2, 0, anyone);
    expect(poll).toMatchObject({ state: 'done', events: [{ seq: 3, type: 'done' }], next: 3 });
    await rm(eventsFile(id));
    expect((await jobs.poll(id, 7, 0, anyone)).events).toMatchObject([{ seq: 8, type: 'done' }]);
  });

  it('cancels an edit that is still on its way to the disk after it has come there', async () => {
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

  it('takes nothing in while it ends', async () => {
    let release = (): void => {};
    scripted.engine.stop = () => new Promise<void>((resolve) => (release = resolve));
    const closing = jobs.close();
    await expect(accept()).rejects.toMatchObject({ code: 'companion-gone' });
    release();
    await closing;
  });

  it('leaves a folder alone that it cannot read, and names it', async () => {
    const { id } = await accept();
    await finished(id);
    const broken = randomUUID();
    await mkdir(path.join(home, 'edits', broken));
    await writeFile(path.join(home, 'edits', broken, 'state.json'), '{"id":');
    jobs = await open();
    expect(jobs.history().edits.map((edit) => edit.id)).toEqual([id]);
    expect(log.join()).toContain(broken);
    expect(await readdir(path.join(home, 'edits'))).toContain(broken);
  });
});
