import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LocalQueueParts } from '../../../server/jobs/local-queue.ts';
import type { EditQueue, QueueListener } from '../../../server/jobs/queue.ts';
import { ScriptedEngine } from './scripted-engine.ts';

export type OpenQueue = (parts: LocalQueueParts) => EditQueue | Promise<EditQueue>;

/** What every queue must do: one suite for all of them. */
export function queueSuite(name: string, openQueue: OpenQueue): void {
  describe(`the ${name} queue`, () => {
    let folder: string;
    let scripted: ScriptedEngine;
    let queue: EditQueue;
    /** Everything reported, such as "started a". */
    let reports: string[];
    let order: readonly string[];
    let failingReports: number;
    const log: string[] = [];

    const report = (text: string): void => {
      reports.push(text);
      if (failingReports > 0) {
        failingReports--;
        throw new Error('the disk is full');
      }
    };
    const listener: QueueListener = {
      started: async (id) => report(`started ${id}`),
      event: () => {},
      crashed: async (id) => report(`crashed ${id}`),
      ended: async (id, life) => {
        const results = life.state === 'done' ? ` in run ${life.results[0]!.runs ?? 1}` : '';
        report(`${life.state === 'failed' ? life.problem.code : life.state} ${id}${results}`);
      },
      moved: (waiting) => {
        order = waiting;
      },
    };

    const open = () => openQueue({ engine: scripted.engine, listener, log: (text) => log.push(text) });
    const add = (id: string, before: { runs?: number; crashes?: number } = {}) =>
      queue.add({ id, folder, runs: 0, crashes: 0, ...before });
    const ends = () => reports.filter((text) => !/^(started|crashed)/.test(text));
    const allEnded = (count: number) => vi.waitFor(() => expect(ends()).toHaveLength(count));
    /** Adds an edit that runs until released. */
    async function occupy(id = 'first'): Promise<() => void> {
      scripted.isQuick = false;
      await add(id);
      await vi.waitFor(() => expect(scripted.waiting).toHaveLength(1));
      return () => {
        scripted.isQuick = true;
        scripted.waiting.pop()!();
      };
    }

    beforeEach(async () => {
      folder = await mkdtemp(`${tmpdir()}/acepp-test-`);
      scripted = new ScriptedEngine();
      [reports, order, failingReports] = [[], [], 0];
      log.length = 0;
      queue = await open();
    });
    afterEach(async () => {
      await queue.close();
      await rm(folder, { recursive: true });
    });

    it('runs edits in order of arrival, each once', async () => {
      for (const id of ['a', 'b', 'c']) await add(id);
      await allEnded(3);
      expect(reports).toEqual(['a', 'b', 'c'].flatMap((id) => [`started ${id}`, `done ${id} in run 1`]));
    });

    it('treats an edit it already has as the same', async () => {
      const letGo = await occupy();
      for (const id of ['first', 'a', 'b', 'a']) await add(id);
      expect(await queue.waiting()).toEqual(['a', 'b']);
      letGo();
      await allEnded(3);
      expect(scripted.started).toEqual(['first', 'a', 'b']);
    });

    it('reports who waits, whenever that changes', async () => {
      const letGo = await occupy();
      expect(order).toEqual([]);
      await add('a');
      await add('b');
      expect(order).toEqual(['a', 'b']);
      await queue.move('b', 0);
      expect(order).toEqual(['b', 'a']);
      expect(await queue.waiting()).toEqual(['b', 'a']);
      letGo();
      await allEnded(3);
      expect(order).toEqual([]);
      expect(scripted.started).toEqual(['first', 'b', 'a']);
    });

    it('moves nothing past the end, and nothing that is not waiting', async () => {
      const letGo = await occupy();
      for (const id of ['a', 'b', 'c']) await add(id);
      await queue.move('a', 99);
      await queue.move('first', 0);
      await queue.move('nobody', 0);
      expect(await queue.waiting()).toEqual(['b', 'c', 'a']);
      letGo();
    });

    it('cancels waiting edits at once, and the running one through the engine', async () => {
      await occupy();
      await add('a');
      await queue.cancel('a');
      expect(ends()).toEqual(['cancelled a']);
      expect(await queue.waiting()).toEqual([]);
      await queue.cancel('first');
      await allEnded(2);
      expect(ends()).toEqual(['cancelled a', 'cancelled first']);
      scripted.isQuick = true;
      await queue.cancel('nobody');
      await add('b');
      await allEnded(3);
    });

    it('reruns an edit whose engine died, ahead of the others', async () => {
      scripted.deaths = 2;
      await add('a');
      await add('b');
      await allEnded(2);
      expect(scripted.started).toEqual(['a', 'a', 'a', 'b']);
      expect(ends()).toEqual(['done a in run 3', 'done b in run 1']);
    });

    it('gives up an edit that crashed the engine three times, also across restarts', async () => {
      scripted.deaths = 3;
      await add('a');
      await allEnded(1);
      expect(ends()).toEqual(['edit-crashed a']);
      scripted.deaths = 1;
      await add('b', { runs: 2, crashes: 2 });
      await allEnded(2);
      expect(ends()).toEqual(['edit-crashed a', 'edit-crashed b']);
      await add('c');
      await allEnded(3);
    });

    it('counts earlier runs', async () => {
      await add('a', { runs: 4 });
      await allEnded(1);
      expect(ends()).toEqual(['done a in run 5']);
    });

    it('ends no edit when closed: whoever reopens the queue adds them again', async () => {
      await occupy();
      await add('a');
      await queue.close();
      expect(ends()).toEqual([]);
      scripted = new ScriptedEngine();
      queue = await open();
      await add('first', { runs: 1 });
      await add('a');
      await allEnded(2);
      expect(ends()).toEqual(['done first in run 2', 'done a in run 1']);
    });

    it('continues if a report fails, and logs that', async () => {
      failingReports = 1;
      await add('a');
      await allEnded(1);
      // Not started without a record, which would lose the number of attempts.
      expect(ends()).toEqual(['internal a']);
      failingReports = 2;
      await add('b');
      await vi.waitFor(() => expect(log).toHaveLength(1));
      await add('c');
      await vi.waitFor(() => expect(ends()).toContain('done c in run 1'));
    });
  });
}
