import { rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import PQueue from 'p-queue';
import { CodedError } from '../../shared/errors.ts';
import type { Accepted, History, Poll } from '../../shared/protocol/answers.ts';
import type { EditEvent } from '../../shared/protocol/events.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';
import { requestFile } from '../engine/edit-files.ts';
import { Archive } from './archive.ts';
import { type HistoryBudget, historyPage } from './history.ts';
import { type Received, readRequest, receive } from './intake.ts';
import { LiveEdit } from './live-edit.ts';
import type { EditQueue, QueuedEdit, QueueListener } from './queue.ts';
import type { EditRecord } from './record.ts';
import { bytesOf } from './results.ts';
import { type EndedLife, isOver, lastEvent, lifeAfter } from './state.ts';
import { Store } from './store.ts';

/** Edits that may wait; more are refused, because nobody waits that long. */
const maxWaiting = 32;
/** An edit that takes the whole machine down every time must not be retried forever. */
const maxInterruptions = 10;

export interface JobsParts {
  readonly home: string;
  readonly openQueue: (listener: QueueListener) => EditQueue;
  readonly budget: HistoryBudget;
  /** Shows a message to the user. */
  readonly announce: (text: string) => void;
  readonly log: (text: string, error?: unknown) => void;
  /** Called when an edit has ended, for metrics. */
  readonly onEnd?: (record: EditRecord) => void;
}

/** All edits of a companion: the queue, and past edits in the archive. */
export class Jobs {
  readonly archive: Archive;
  readonly #parts: JobsParts;
  readonly #store: Store;
  readonly #queue: EditQueue;
  readonly #live = new Map<string, LiveEdit>();
  /** One at a time, so that edits are stored in the order they arrived. */
  readonly #storing = new PQueue({ concurrency: 1 });
  #waiting: readonly string[] = [];
  #isClosing = false;

  private constructor(parts: JobsParts, store: Store, archive: Archive) {
    this.#parts = parts;
    this.#store = store;
    this.archive = archive;
    this.#queue = parts.openQueue({
      started: (id) => this.#started(id),
      event: (id, event) => this.#live.get(id)?.tell(event),
      crashed: (id, error) => this.#crashed(id, error),
      ended: (id, life) => this.#end(id, life),
      moved: (waiting) => this.#moved(waiting),
    });
  }

  /** Opens the edits under `home`; those an earlier companion left unfinished are queued again, in order. */
  static async open(parts: JobsParts): Promise<Jobs> {
    const store = new Store(parts.home);
    const archive = await Archive.open({ ...parts, store });
    const jobs = new Jobs(parts, store, archive);
    await jobs.#resume();
    archive.startCleaning();
    return jobs;
  }

  /**
   * Accepts an edit: writes its body to disk, checks its header and queues it.
   * @param id a UUID; sending it again with the same body returns the same answer and runs nothing twice
   * @throws CodedError `edit-conflict`, `queue-full`, and what `receive` and `readRequest` throw
   */
  async accept(id: string, body: Readable): Promise<Accepted> {
    const received = await receive(body, this.#store.incomingFile());
    return this.#take(id, received);
  }

  /**
   * Runs the request of an earlier edit again as a new edit.
   * @throws CodedError `not-found`, `result-damaged`, and as `accept`
   */
  async runAgain(id: string, earlier: string): Promise<Accepted> {
    const { sha256 } = this.archive.find(earlier);
    const bytes = await bytesOf([requestFile(this.#store.folderOf(earlier))]);
    const file = this.#store.incomingFile();
    await this.#store.linkRequest(earlier, file);
    return this.#take(id, { file, sha256, bytes });
  }

  /**
   * The state of an edit and its events after `after`; waits up to `wait` seconds for one, unless the edit is
   * over. The last event of a finished edit is always returned: a companion that was killed may have sent
   * events it hadn't written yet, so the final event, written by the next companion, may have a number the
   * client has already seen.
   * @throws CodedError `not-found`
   */
  async poll(id: string, after: number, wait: number, signal: AbortSignal): Promise<Poll> {
    this.archive.find(id);
    await this.#live.get(id)?.waitFor(after, wait, signal);
    const live = this.#live.get(id);
    const { state } = this.archive.find(id).life;
    const events = live?.after(after) ?? (await this.#eventsOfEnded(id, after));
    return { id, state, events, next: events.at(-1)?.seq ?? after };
  }

  /** Cancels a waiting edit at once, a running one between two steps; ignores one that is over. */
  async cancel(id: string): Promise<EditRecord> {
    await this.#live.get(id)?.stored;
    if (!isOver(this.archive.find(id).life)) await this.#queue.cancel(id);
    return this.archive.find(id);
  }

  /** Cancels everything that is waiting or running. @returns their ids */
  async cancelAll(): Promise<readonly string[]> {
    const ids = [...this.#live.keys()];
    // Last first; otherwise each one that ends lets the next one start.
    for (const id of ids.reverse()) await this.cancel(id);
    return ids;
  }

  /** Running and waiting edits, in order. */
  queue(): History['edits'] {
    const running = this.archive.all().filter(({ life }) => life.state === 'running');
    const waiting = this.#waiting.flatMap((id) => this.archive.get(id) ?? []);
    return historyPage([...running, ...waiting].reverse(), '', undefined).edits;
  }

  /**
   * Moves a waiting edit so that `position` others run before it.
   * @throws CodedError `not-found`
   */
  async move(id: string, position: number): Promise<void> {
    await this.#live.get(id)?.stored;
    this.archive.find(id);
    await this.#queue.move(id, position);
    await this.#store.saveOrder(await this.#queue.waiting());
  }

  /** Stops the queue. The next companion resumes what is waiting or running. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#storing.onIdle();
    await this.#queue.close();
    for (const [id, live] of this.#live) {
      const record = this.archive.find(id);
      // This is a clean shutdown, so the edit didn't cause it.
      if (record.life.state === 'running')
        await this.archive.change({ ...record, life: { state: 'queued' } });
      live.wake();
    }
    await this.archive.close();
  }

  async #resume(): Promise<void> {
    const order = await this.#store.order();
    const rank = ({ id, life }: EditRecord) =>
      life.state === 'running' ? -1 : (order.indexOf(id) + order.length + 1) % (order.length + 1);
    const open = this.archive.all().filter(({ life }) => !isOver(life));
    open.sort((a, b) => rank(a) - rank(b) || a.order - b.order);
    for (const record of open) {
      try {
        await this.#resumeOne(record);
      } catch (error) {
        this.#parts.log(`The edit ${record.id} could not be queued again.`, error);
      }
    }
  }

  async #resumeOne(record: EditRecord): Promise<void> {
    const { id } = record;
    const events = await this.#store.events(id);
    const life = lifeAfter(events.at(-1));
    if (life) {
      const { bytes } = await this.archive.weigh(id, life);
      return this.archive.change({ ...record, life, bytes });
    }
    await this.#store.rewrite(id, events);
    const live = new LiveEdit(id, this.#store, this.#parts.log, events);
    this.#live.set(id, live);
    const wasRunning = record.life.state === 'running';
    const interruptions = record.interruptions + (wasRunning ? 1 : 0);
    const queued: EditRecord = { ...record, interruptions, life: { state: 'queued' } };
    await this.archive.change(queued);
    if (interruptions >= maxInterruptions) {
      return this.#end(id, { state: 'failed', problem: interruptedTooOften(id).toProblem() });
    }
    // 0.1.0 did not count runs.
    if (record.runs > 0 || events.some(({ type }) => type !== 'queued')) {
      live.tell({ type: 'note', text: 'The companion was restarted while this edit ran, so it runs again.' });
    }
    await this.#queue.add(this.#queued(queued));
  }

  async #take(id: string, received: Received): Promise<Accepted> {
    try {
      const known = this.#sameEdit(id, received);
      if (known) return known;
      const request = await readRequest(received.file);
      // Another request with this id may have arrived while this one was being read.
      return this.#sameEdit(id, received) ?? (await this.#enqueue(id, request, received));
    } finally {
      await rm(received.file, { force: true });
    }
  }

  async #enqueue(id: string, request: EditRequest, received: Received): Promise<Accepted> {
    if (this.#isClosing) throw stopped(id);
    const { queued, running } = this.archive.counts();
    if (queued >= maxWaiting) {
      throw new CodedError('queue-full', {
        detail: `${queued} edits are waiting already.`,
        remedy: 'Wait for one of them, or cancel some.',
      });
    }
    const position = queued + running;
    const { sha256, bytes } = received;
    const record: EditRecord = {
      version: 2,
      id,
      order: this.archive.nextOrder(),
      created: new Date().toISOString(),
      sha256,
      position,
      request,
      bytes,
      runs: 0,
      crashes: 0,
      interruptions: 0,
      pinned: false,
      fetched: false,
      life: { state: 'queued' },
    };
    const live = new LiveEdit(id, this.#store, this.#parts.log);
    // Before the first await, so that the same request sent twice at once is one edit.
    this.archive.show(record);
    this.#live.set(id, live);
    const storing = this.#storing.add(async () => {
      await this.#store.create(record, received);
      live.tellPosition(position);
      if (!this.#isClosing) await this.#queue.add(this.#queued(record));
    });
    live.stored = storing.catch(() => {});
    try {
      await storing;
    } catch (error) {
      this.archive.hide(id);
      this.#live.delete(id);
      throw error;
    }
    void this.archive.clean();
    return { id, state: 'queued', position };
  }

  #queued({ id, runs, crashes }: EditRecord): QueuedEdit {
    return { id, folder: this.#store.folderOf(id), runs, crashes };
  }

  async #started(id: string): Promise<void> {
    const record = this.archive.find(id);
    await this.archive.change({ ...record, runs: record.runs + 1, life: { state: 'running' } });
  }

  async #crashed(id: string, error: CodedError): Promise<void> {
    const record = this.archive.find(id);
    this.#live
      .get(id)
      ?.tell({ type: 'note', text: `The engine died, so this edit runs again. ${error.detail}` });
    await this.archive.change({ ...record, crashes: record.crashes + 1, life: { state: 'queued' } });
  }

  /** Stores how an edit ended, then reports it. */
  async #end(id: string, ended: EndedLife): Promise<void> {
    const live = this.#live.get(id);
    if (!live) return;
    const { life, bytes } = await this.archive.weigh(id, ended);
    const last = await live.writeLast(lastEvent(life));
    const record: EditRecord = { ...this.archive.find(id), life, bytes };
    if (life.state === 'failed') this.#parts.log(`The edit ${id} failed with ${life.problem.code}.`);
    try {
      await this.#store.save(record);
    } catch (error) {
      this.#parts.log(`The end of the edit ${id} could not be written.`, error);
    }
    // All at once: a poll that reports the end must include its event, because nobody polls after that.
    this.archive.show({ ...this.archive.find(id), life, bytes });
    live.show(last);
    this.#live.delete(id);
    this.#parts.onEnd?.(record);
  }

  #moved(waiting: readonly string[]): void {
    this.#waiting = waiting;
    const { running } = this.archive.counts();
    for (const [i, id] of waiting.entries()) this.#live.get(id)?.tellPosition(i + Math.max(1, running));
  }

  #sameEdit(id: string, { sha256 }: Received): Accepted | undefined {
    const record = this.archive.get(id);
    if (!record) return undefined;
    if (record.sha256 === sha256) return { id, state: 'queued', position: record.position };
    throw new CodedError('edit-conflict', {
      detail: `The edit ${id} was sent before with another body.`,
      remedy: 'Choose a new id for each edit.',
    });
  }

  async #eventsOfEnded(id: string, after: number): Promise<readonly EditEvent[]> {
    const { life } = this.archive.find(id);
    const events = await this.#store.events(id);
    if (isOver(life) && !lifeAfter(events.at(-1))) {
      // The disk was full when it ended, or the power failed: its state is known from memory or its own file.
      const seq = Math.max(events.at(-1)?.seq ?? 0, after) + 1;
      events.push({ seq, time: new Date().toISOString(), ...lastEvent(life) });
    }
    return events.filter((event, i) => event.seq > after || i === events.length - 1);
  }
}

function stopped(id: string): CodedError {
  return new CodedError('companion-gone', {
    detail: `The companion is stopping and does not take the edit ${id}.`,
    remedy: 'Send it again when the companion is back.',
  });
}

function interruptedTooOften(id: string): CodedError {
  return new CodedError('edit-crashed', {
    detail: `The companion or the machine went down ${maxInterruptions} times while the edit ${id} ran.`,
    remedy: 'Try a smaller picture or another model. If it keeps failing, report this text.',
  });
}
