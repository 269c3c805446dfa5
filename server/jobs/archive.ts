import { CodedError } from '../../shared/errors.ts';
import type { EditLife, History } from '../../shared/protocol/answers.ts';
import { resultFile } from '../engine/edit-files.ts';
import { type ExportChoice, type ExportedVariant, exportVariant } from './export.ts';
import { type HistoryBudget, historyPage, mustBeOver, overBudget } from './history.ts';
import type { EditRecord } from './record.ts';
import { bytesOf, openResult, type ResultFile, readResult, thumbnail } from './results.ts';
import { type EndedLife, isOver } from './state.ts';
import type { Store } from './store.ts';

const millisecondsBetweenCleanings = 3_600_000;
/** Delay after the start, to a time when nobody is waiting for the disk. */
const millisecondsToSweep = 60_000;

export interface ArchiveParts {
  readonly store: Store;
  readonly budget: HistoryBudget;
  /** Shows a message to the user. */
  readonly announce: (text: string) => void;
  readonly log: (text: string, error?: unknown) => void;
}

/** The records of all edits, and the results of past ones, within a budget. */
export class Archive {
  readonly #parts: ArchiveParts;
  /** Oldest first. */
  readonly #records = new Map<string, EditRecord>();
  readonly #thumbnails = new Map<string, Promise<Uint8Array>>();
  #order = 0;
  #cleaning: Promise<void> = Promise.resolve();
  #cleaner: NodeJS.Timeout | undefined;
  #sweeper: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(parts: ArchiveParts) {
    this.#parts = parts;
  }

  /** Reads all records; sets damaged ones aside and migrates those of an earlier version. */
  static async open(parts: ArchiveParts): Promise<Archive> {
    const archive = new Archive(parts);
    await parts.store.open();
    const { records, migrated, damaged } = await parts.store.load();
    for (const record of records) archive.#records.set(record.id, record);
    archive.#order = records.at(-1)?.order ?? 0;
    for (const text of damaged) parts.announce(text);
    if (migrated > 0) parts.announce(`Edits of an earlier version were taken over: ${migrated}.`);
    return archive;
  }

  /** Enforces the budget from now on, and later removes the remains of unfinished writes. */
  startCleaning(): void {
    void this.clean();
    this.#cleaner = setInterval(() => void this.clean(), millisecondsBetweenCleanings).unref();
    this.#sweeper = setTimeout(() => {
      this.#cleaning = this.#cleaning.then(() => this.sweep());
    }, millisecondsToSweep).unref();
  }

  /** Removes the remains of writes that earlier companions never finished. */
  async sweep(): Promise<void> {
    const { store, log } = this.#parts;
    const started = Date.now() - performance.now();
    for (const id of this.#records.keys()) {
      if (this.#isClosed) return;
      await store.sweep(id, started).catch((error) => log(`The edit ${id} could not be swept.`, error));
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#cleaner);
    clearTimeout(this.#sweeper);
    await this.#cleaning;
  }

  /** Oldest first. */
  all(): readonly EditRecord[] {
    return [...this.#records.values()];
  }

  get(id: string): EditRecord | undefined {
    return this.#records.get(id);
  }

  /** @throws CodedError `not-found` */
  find(id: string): EditRecord {
    const record = this.#records.get(id);
    if (record) return record;
    throw new CodedError('not-found', {
      detail: `There is no edit ${id}.`,
      remedy: 'Send it first; old edits are removed after some time.',
    });
  }

  /** Greater than the order of every edit so far. */
  nextOrder(): number {
    this.#order++;
    return this.#order;
  }

  /** Makes a record visible before it is on disk. */
  show(record: EditRecord): void {
    this.#records.set(record.id, record);
  }

  /** Undoes `show`. */
  hide(id: string): void {
    this.#records.delete(id);
  }

  /** Updates a record in memory at once, then on disk. @throws CodedError `disk-full`, `disk-unwritable` */
  async change(record: EditRecord): Promise<void> {
    this.show(record);
    await this.#parts.store.note(record);
  }

  counts(): Readonly<Record<EditLife['state'], number>> {
    const counts = { queued: 0, running: 0, done: 0, failed: 0, cancelled: 0 };
    for (const { life } of this.#records.values()) counts[life.state]++;
    return counts;
  }

  /** Bytes that all edits take on disk. */
  bytes(): number {
    return this.all().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * A page of the history, newest first; see `historyPage`.
   * @throws CodedError `not-found`
   */
  history(before?: string, words = ''): History {
    return historyPage(this.all(), words, before === undefined ? undefined : this.find(before));
  }

  /**
   * Bytes an ended edit takes on disk. If results are missing, the edit has failed, even if the engine
   * reported them.
   */
  async weigh(id: string, life: EndedLife): Promise<{ life: EndedLife; bytes: number }> {
    const { bytes } = this.find(id);
    if (life.state !== 'done') return { life, bytes };
    const folder = this.#parts.store.folderOf(id);
    try {
      const results = await bytesOf(life.results.map(({ variant }) => resultFile(folder, variant)));
      return { life, bytes: bytes + results };
    } catch (error) {
      return { life: { state: 'failed', problem: CodedError.from(error).toProblem() }, bytes };
    }
  }

  /** @throws CodedError `not-found`, `edit-not-done` or `result-damaged` */
  async openResult(id: string, variant: number): Promise<ResultFile> {
    return this.#unlessRemoved(id, openResult(this.#resultFile(id, variant)));
  }

  /** @throws as `openResult` */
  async readResult(id: string, variant: number): ReturnType<typeof readResult> {
    return this.#unlessRemoved(id, readResult(this.#resultFile(id, variant)));
  }

  /** Exports a result as a file. @throws as `openResult` and `exportVariant` */
  async exportResult(id: string, variant: number, choice: ExportChoice): Promise<ExportedVariant> {
    this.#resultFile(id, variant);
    return this.#unlessRemoved(id, exportVariant(this.#parts.store.folderOf(id), variant, choice));
  }

  /** A small PNG of the first variant. @throws as `openResult`, and `disk-full` */
  async thumbnail(id: string): Promise<Uint8Array> {
    const file = this.#resultFile(id, 0);
    const making = this.#thumbnails.get(id) ?? this.#makeThumbnail(id, file);
    this.#thumbnails.set(id, making);
    try {
      return await this.#unlessRemoved(id, making);
    } finally {
      this.#thumbnails.delete(id);
    }
  }

  /** An edit that is removed while its files are read is not damaged: it is not there any more. @throws CodedError `not-found` */
  async #unlessRemoved<T>(id: string, reading: Promise<T>): Promise<T> {
    try {
      return await reading;
    } catch (error) {
      this.find(id);
      throw error;
    }
  }

  async #makeThumbnail(id: string, file: string): Promise<Uint8Array> {
    const { png, isNew } = await thumbnail(file);
    const record = this.#records.get(id);
    if (isNew && record) await this.change({ ...record, bytes: record.bytes + png.length });
    return png;
  }

  /** Records that a client now has a result. */
  async fetched(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (record && !record.fetched) await this.change({ ...record, fetched: true });
  }

  /** Pins an edit, which keeps it regardless of the budget, or unpins it. @throws CodedError `not-found` */
  async pin(id: string, pinned: boolean): Promise<void> {
    const record = this.find(id);
    if (record.pinned !== pinned) await this.change({ ...record, pinned });
  }

  /** Removes a finished edit and its files. @throws CodedError `not-found`, `edit-not-over` */
  async remove(id: string): Promise<void> {
    mustBeOver(this.find(id));
    this.#records.delete(id);
    await this.#parts.store.remove(id);
  }

  /** Removes what exceeds the budget; nobody has to wait for it. */
  clean(): Promise<void> {
    this.#cleaning = this.#cleaning.then(async () => {
      for (const { id } of overBudget(this.all(), this.#parts.budget, Date.now())) {
        if (this.#isClosed) return;
        try {
          await this.remove(id);
        } catch (error) {
          this.#parts.log(`The edit ${id} could not be removed.`, error);
        }
      }
    });
    return this.#cleaning;
  }

  #resultFile(id: string, variant: number): string {
    const { life } = this.find(id);
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
    return resultFile(this.#parts.store.folderOf(id), variant);
  }
}
