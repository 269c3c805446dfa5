import { rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import PQueue from 'p-queue';
import { CodedError } from '../../shared/errors.ts';
import type { Accepted, EditLife, History, Poll } from '../../shared/protocol/answers.ts';
import type { EditEvent, EditEventBody } from '../../shared/protocol/events.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';
import { resultFile } from '../engine/edit-files.ts';
import type { Engine } from '../engine/engine.ts';
import { type Received, readRequest, receive } from './intake.ts';
import { LiveEdit } from './live-edit.ts';
import { type EditRecord, isOver, lifeAfter } from './state.ts';
import { Store } from './store.ts';

/** Edits that may wait; more are refused, as nobody waits that long. */
const maxWaiting = 32;
/** What is kept of the past: as many edits and as many bytes, the newest first. */
const maxKept = 200;
const maxKeptBytes = 10e9;
const historyPage = 50;

export interface JobsParts {
  readonly home: string;
  readonly engine: Pick<Engine, 'run' | 'cancel' | 'stop'>;
  readonly log: (text: string) => void;
}

/** All edits of a companion: those that wait, the one that runs, and those of the past, on disk. */
export class Jobs {
  readonly #engine: JobsParts['engine'];
  readonly #log: (text: string) => void;
  readonly #store: Store;
  /** Oldest first. */
  readonly #records = new Map<string, EditRecord>();
  readonly #live = new Map<string, LiveEdit>();
  readonly #waiting: LiveEdit[] = [];
  readonly #queue = new PQueue({ concurrency: 1 });
  #running: LiveEdit | undefined;
  #closing = false;

  private constructor({ home, engine, log }: JobsParts) {
    this.#engine = engine;
    this.#log = log;
    this.#store = new Store(home);
  }

  /** Opens the edits under `home`; those that a companion left unfinished have failed. */
  static async open(parts: JobsParts): Promise<Jobs> {
    const jobs = new Jobs(parts);
    await jobs.#store.open();
    for (const record of await jobs.#store.load(parts.log)) {
      jobs.#records.set(record.id, isOver(record.life) ? record : await jobs.#giveUp(record));
    }
    return jobs;
  }

  /**
   * Takes an edit in: its body to disk, its header checked, its place in the queue.
   * @param id a UUID; sent again with the same body, the answer is the same and nothing runs twice
   * @throws CodedError `edit-conflict`, `queue-full`, and what `receive` and `readRequest` throw
   */
  async accept(id: string, body: Readable): Promise<Accepted> {
    const received = await receive(body, this.#store.incoming);
    try {
      const known = this.#sameEdit(id, received);
      if (known) return known;
      const request = await readRequest(received.file);
      // Another request with this id may have come while this one was read.
      return this.#sameEdit(id, received) ?? (await this.#enqueue(id, request, received));
    } finally {
      await rm(received.file, { force: true });
    }
  }

  /**
   * The state of an edit and its events after `after`; waits for one up to `wait` seconds, unless the edit is over. The
   * last event of an edit that is over is told to whoever asks: a companion that was killed may have shown events
   * that it had not written yet, so that the end, written by the next one, has a number that was seen before.
   * @throws CodedError `not-found`
   */
  async poll(id: string, after: number, wait: number, signal: AbortSignal): Promise<Poll> {
    this.#find(id);
    await this.#live.get(id)?.waitFor(after, wait, signal);
    const live = this.#live.get(id);
    const { state } = this.#find(id).life;
    const events = live?.after(after) ?? (await this.#eventsOfEnded(id, after));
    return { id, state, events, next: events.at(-1)?.seq ?? after };
  }

  /** Cancels a waiting edit at once and a running one between two steps; does nothing to one that is over. */
  async cancel(id: string): Promise<EditRecord> {
    await this.#live.get(id)?.stored;
    const record = this.#find(id);
    const place = this.#waiting.findIndex((live) => live.id === id);
    const [waiting] = place < 0 ? [] : this.#waiting.splice(place, 1);
    if (waiting) {
      await this.#end(waiting, { state: 'cancelled' });
      this.#tellPositions();
    } else if (record.life.state === 'running') {
      this.#engine.cancel(id);
    }
    return this.#find(id);
  }

  /**
   * The file with a variant's layer.
   * @throws CodedError `not-found`, `edit-not-done`
   */
  resultFile(id: string, variant: number): string {
    const { life } = this.#find(id);
    if (life.state !== 'done') {
      throw new CodedError('edit-not-done', {
        detail: `The edit ${id} is ${life.state}, so it has no result${life.state === 'failed' ? `. ${life.problem.detail}` : '.'}`,
        remedy: isOver(life)
          ? 'Run it again under a new id.'
          : 'Poll the edit until its state is "done", then ask again.',
      });
    }
    if (life.results.every((result) => result.variant !== variant)) {
      throw new CodedError('not-found', {
        detail: `The edit ${id} has no variant ${variant}, only 0 to ${life.results.length - 1}.`,
        remedy: 'Ask for a variant that its last event names.',
      });
    }
    return resultFile(this.#store.folderOf(id), variant);
  }

  /**
   * A page of the history, newest first.
   * @param before the id after which it goes on
   * @throws CodedError `not-found`
   */
  history(before?: string): History {
    const newestFirst = [...this.#records.values()].reverse();
    const start = before === undefined ? 0 : newestFirst.indexOf(this.#find(before)) + 1;
    const page = newestFirst.slice(start, start + historyPage);
    const isLast = start + historyPage >= newestFirst.length;
    return {
      edits: page.map(({ id, created, request, life }) => ({ id, created, request, ...life })),
      next: isLast ? null : page.at(-1)!.id,
    };
  }

  /** Ends the engine and with it the running edit; those that wait have failed when the companion starts again. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#queue.clear();
    await this.#engine.stop();
    await this.#queue.onIdle();
  }

  #find(id: string): EditRecord {
    const record = this.#records.get(id);
    if (record) return record;
    throw new CodedError('not-found', {
      detail: `There is no edit ${id}.`,
      remedy: 'Send it first; old edits are removed after some time.',
    });
  }

  #sameEdit(id: string, { sha256 }: Received): Accepted | undefined {
    const record = this.#records.get(id);
    if (!record) return undefined;
    if (record.sha256 === sha256) return { id, state: 'queued', position: record.position };
    throw new CodedError('edit-conflict', {
      detail: `The edit ${id} was sent before with another body.`,
      remedy: 'Choose a new id for each edit.',
    });
  }

  async #eventsOfEnded(id: string, after: number): Promise<readonly EditEvent[]> {
    const events = await this.#store.events(id);
    if (!lifeAfter(events.at(-1))) {
      // The disk was full when it ended, or the power went: its state is known from memory or from its own file.
      const seq = Math.max(events.at(-1)?.seq ?? 0, after) + 1;
      events.push({ seq, time: new Date().toISOString(), ...lastEvent(this.#find(id).life) });
    }
    return events.filter((event, i) => event.seq > after || i === events.length - 1);
  }

  async #enqueue(id: string, request: EditRequest, received: Received): Promise<Accepted> {
    if (this.#closing) throw stopped(id);
    if (this.#waiting.length >= maxWaiting) {
      throw new CodedError('queue-full', {
        detail: `${this.#waiting.length} edits are waiting already.`,
        remedy: 'Wait for one of them, or cancel some.',
      });
    }
    const position = this.#waiting.length + (this.#running ? 1 : 0);
    const created = new Date().toISOString();
    const { sha256, bytes } = received;
    const record: EditRecord = { id, created, sha256, position, request, bytes, life: { state: 'queued' } };
    const live = new LiveEdit(id, this.#store, this.#log);
    // Before anything is awaited, so that the same request sent twice at once is one edit.
    this.#records.set(id, record);
    this.#live.set(id, live);
    this.#waiting.push(live);
    const storing = this.#store.create(record, received);
    live.stored = storing.catch(() => {});
    try {
      await storing;
    } catch (error) {
      this.#records.delete(id);
      this.#live.delete(id);
      this.#waiting.splice(this.#waiting.indexOf(live), 1);
      throw error;
    }
    live.tell({ type: 'queued', position });
    void this.#queue.add(() => this.#run(live));
    await this.#prune();
    return { id, state: 'queued', position };
  }

  async #run(live: LiveEdit): Promise<void> {
    const place = this.#waiting.indexOf(live);
    // Cancelled while it waited; and one that comes while the companion ends is as good as one that waits.
    if (place < 0 || this.#closing) return;
    this.#waiting.splice(place, 1);
    this.#running = live;
    this.#records.set(live.id, { ...this.#find(live.id), life: { state: 'running' } });
    this.#tellPositions();
    let life: EditLife;
    try {
      const folder = this.#store.folderOf(live.id);
      life = { state: 'done', results: await this.#engine.run(live.id, folder, (event) => live.tell(event)) };
    } catch (thrown) {
      const error = this.#closing ? stopped(live.id) : CodedError.from(thrown);
      life =
        error.code === 'cancelled' ? { state: 'cancelled' } : { state: 'failed', problem: error.toProblem() };
      if (life.state === 'failed') this.#log(`The edit ${live.id} failed: ${error.message}`);
    }
    this.#running = undefined;
    await this.#end(live, life);
    this.#tellPositions();
  }

  /** Keeps how an edit ended, and tells it after that. */
  async #end(live: LiveEdit, life: EditLife): Promise<void> {
    const last = await live.writeLast(lastEvent(life));
    const record = { ...this.#find(live.id), life, bytes: await this.#bytesOf(live.id, life) };
    try {
      await this.#store.save(record);
    } catch (error) {
      this.#log(`The end of the edit ${live.id} cannot be written: ${(error as Error).message}`);
    }
    // All at once: a poll that tells an end must have its event, as nobody asks again after that.
    this.#records.set(live.id, record);
    live.show(last);
    this.#live.delete(live.id);
  }

  async #bytesOf(id: string, life: EditLife): Promise<number> {
    let { bytes } = this.#find(id);
    for (const { variant } of life.state === 'done' ? life.results : []) {
      bytes += (await stat(resultFile(this.#store.folderOf(id), variant))).size;
    }
    return bytes;
  }

  #tellPositions(): void {
    for (const [i, live] of this.#waiting.entries()) {
      live.tell({ type: 'queued', position: i + (this.#running ? 1 : 0) });
    }
  }

  async #prune(): Promise<void> {
    let [count, bytes] = [0, 0];
    for (const record of [...this.#records.values()].reverse()) {
      count++;
      bytes += record.bytes;
      if (!isOver(record.life) || (count <= maxKept && bytes <= maxKeptBytes)) continue;
      this.#records.delete(record.id);
      await this.#store.remove(record.id);
    }
  }

  /** An edit that the companion before this one left: as its last event says, or failed. */
  async #giveUp(record: EditRecord): Promise<EditRecord> {
    const events = await this.#store.events(record.id).catch(() => []);
    const told = lifeAfter(events.at(-1));
    const life = told ?? { state: 'failed' as const, problem: stopped(record.id).toProblem() };
    if (!told) {
      const seq = (events.at(-1)?.seq ?? 0) + 1;
      const last = { seq, time: new Date().toISOString(), ...lastEvent(life) };
      await this.#store.rewrite(record.id, [...events, last]);
    }
    const ended = { ...record, life };
    await this.#store.save(ended);
    return ended;
  }
}

function lastEvent(life: EditLife): EditEventBody {
  switch (life.state) {
    case 'done':
      return { type: 'done', results: life.results };
    case 'failed':
      return { type: 'failed', problem: life.problem };
    case 'cancelled':
      return { type: 'cancelled' };
    default:
      throw new Error(`an edit that is ${life.state} has not ended`);
  }
}

function stopped(id: string): CodedError {
  return new CodedError('companion-gone', {
    detail: `The companion was ended before the edit ${id} was done.`,
    remedy: 'Run it again under a new id.',
  });
}
