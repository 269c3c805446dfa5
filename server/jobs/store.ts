import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { appendFile, copyFile, link, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import type { EditEvent } from '../../shared/protocol/events.ts';
import { asDiskError, syncFolder, writeAtomically, writeDurably } from '../disk/durable.ts';
import { rename } from '../disk/rename.ts';
import { requestFile } from '../engine/edit-files.ts';
import type { Received } from './intake.ts';
import { type EditRecord, type FirstRecord, fromFirst, parseEvent, parseRecord } from './record.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const orderSchema = v.array(v.string());

export interface Loaded {
  /** Oldest first. */
  readonly records: readonly EditRecord[];
  /** How many of them an earlier version wrote. */
  readonly migrated: number;
  /** What could not be read, where it is now, and why. */
  readonly damaged: readonly string[];
}

/**
 * Edits on disk, one folder each: `request.safetensors`, `result.K.safetensors`, `events.jsonl`,
 * `thumbnail.png` and `state.json`, which is written last. An edit exists as soon as its `state.json` does.
 * Plain files suffice as a database here: the pixels have to be files anyway, each record is replaced in one
 * rename, and a damaged one costs one edit (`npm run kills` and `npm run disk-full` show it).
 */
export class Store {
  readonly #folder: string;
  readonly #saves = new Map<string, Promise<void>>();

  constructor(home: string) {
    this.#folder = path.join(home, 'edits');
  }

  folderOf(id: string): string {
    return path.join(this.#folder, id);
  }

  /** A new name for an incoming body. */
  incomingFile(): string {
    return path.join(this.#incoming, `${randomUUID()}.part`);
  }

  /** Creates the folders and removes bodies that were still arriving when a companion ended. */
  async open(): Promise<void> {
    try {
      await rm(this.#incoming, { recursive: true, force: true, maxRetries: 5 });
      await mkdir(this.#incoming, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw asDiskError(cause);
    }
  }

  /**
   * Reads all edits. Damaged ones are moved to `.damaged`, so that they are neither lost nor in the way.
   * Reads one at a time: 10,000 small files take a third of the time that way.
   */
  async load(): Promise<Loaded> {
    const records: EditRecord[] = [];
    const first: FirstRecord[] = [];
    const damaged: string[] = [];
    for (const entry of readdirSync(this.#folder, { withFileTypes: true })) {
      const { name } = entry;
      if (!entry.isDirectory() || !uuid.test(name)) continue;
      try {
        const record = parseRecord(readFileSync(this.#stateFile(name), 'utf8'));
        if (record.id !== name) throw new Error(`"id" is "${record.id}", unlike the folder's name`);
        if ('version' in record) records.push(record);
        else first.push(record);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' && (await this.#wasNeverAccepted(name))) await this.remove(name);
        else damaged.push(await this.#setAside(name, message));
      }
    }
    // 0.1.0 ordered its edits by the clock alone; everything this version accepted came later.
    first.sort((a, b) => a.created.localeCompare(b.created));
    const migrated = first.map((record, i) => fromFirst(record, i - first.length));
    records.sort((a, b) => a.order - b.order);
    const all = [...migrated, ...records].map((record, i) =>
      migrated.length === 0 ? record : { ...record, order: i + 1 },
    );
    if (migrated.length > 0) for (const record of all) await this.save(record);
    return { records: all, migrated: migrated.length, damaged };
  }

  /** Stores a received body as the request of a new edit. */
  async create(record: EditRecord, received: Received): Promise<void> {
    const folder = this.folderOf(record.id);
    try {
      // Remains of an edit that never got its state.
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      await mkdir(folder, { mode: 0o700 });
      await rename(received.file, requestFile(folder));
      await this.save(record);
      await syncFolder(this.#folder);
    } catch (cause) {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
      throw asDiskError(cause);
    }
  }

  /** Survives a power cut. Saves of one edit run one after another, so the last one wins. */
  save(record: EditRecord): Promise<void> {
    return this.#save(record, writeDurably);
  }

  /** Survives the companion being killed; after a power cut the record may be the previous one. */
  note(record: EditRecord): Promise<void> {
    return this.#save(record, writeAtomically);
  }

  async #save(record: EditRecord, write: typeof writeDurably): Promise<void> {
    const { id } = record;
    const before = this.#saves.get(id) ?? Promise.resolve();
    const saving = before
      .catch(() => {})
      .then(() => write(this.#stateFile(id), `${JSON.stringify(record, null, 2)}\n`));
    this.#saves.set(id, saving);
    try {
      await saving;
    } finally {
      if (this.#saves.get(id) === saving) this.#saves.delete(id);
    }
  }

  /** Links the request of an edit under another name: a copy would take the space twice. */
  async linkRequest(id: string, file: string): Promise<void> {
    const request = requestFile(this.folderOf(id));
    try {
      // Some disks don't support links.
      await link(request, file).catch(() => copyFile(request, file));
    } catch (cause) {
      throw asDiskError(cause);
    }
  }

  /** The order of the waiting edits, if the user has changed it. */
  async saveOrder(ids: readonly string[]): Promise<void> {
    await writeDurably(this.#orderFile, `${JSON.stringify(ids)}\n`);
  }

  async order(): Promise<readonly string[]> {
    try {
      return v.parse(orderSchema, JSON.parse(await readFile(this.#orderFile, 'utf8')));
    } catch {
      // Missing or damaged: they run in the order they came.
      return [];
    }
  }

  /** Previews are not stored: they are worthless once the edit has moved on. */
  async append(id: string, event: EditEvent): Promise<void> {
    const kept = event.type === 'step' ? { ...event, preview: undefined, previewBounds: undefined } : event;
    await appendFile(this.#eventsFile(id), `${JSON.stringify(kept)}\n`);
  }

  /** Rewrites all events: nothing may be appended to a truncated line. */
  async rewrite(id: string, events: readonly EditEvent[]): Promise<void> {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`);
    const file = this.#eventsFile(id);
    await writeDurably(file, lines.join('')).catch(async (error) => {
      // A folder with that name is in the way.
      await rm(file, { recursive: true, force: true, maxRetries: 5 });
      await rm(`${file}.tmp`, { recursive: true, force: true, maxRetries: 5 });
      await writeDurably(file, lines.join('')).catch(() => Promise.reject(error));
    });
  }

  /** In the order of their numbers; empty if the file can't be read. */
  async events(id: string): Promise<EditEvent[]> {
    const text = await readFile(this.#eventsFile(id), 'utf8').catch(() => '');
    // A power cut or a full disk truncates a line: it is ignored, along with anything appended to it.
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    const events = lines.flatMap((line) => parseEvent(line) ?? []);
    return events.filter(({ seq }, i) => i === 0 || seq > events[i - 1]!.seq);
  }

  /** Takes effect at once, even if interrupted: the next start removes what is in `.incoming`. */
  async remove(id: string): Promise<void> {
    if (!uuid.test(id)) throw new Error(`"${id}" is no edit`);
    const removed = path.join(this.#incoming, `${id}.removed`);
    await rm(removed, { recursive: true, force: true, maxRetries: 5 });
    await rename(this.folderOf(id), removed).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw asDiskError(error);
    });
    await rm(removed, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Removes the remains of writes that never finished, unless they began after `before` (ms since 1970). */
  async sweep(id: string, before: number): Promise<void> {
    const folder = this.folderOf(id);
    for (const name of await readdir(folder)) {
      const file = path.join(folder, name);
      if (!name.endsWith('.tmp') || (await stat(file)).mtimeMs >= before) continue;
      await rm(file, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  /** A folder without a state holds only a request if the companion ended while accepting the edit. */
  async #wasNeverAccepted(name: string): Promise<boolean> {
    const left = await readdir(this.folderOf(name));
    return left.every((file) => file === 'request.safetensors' || file.endsWith('.tmp'));
  }

  async #setAside(name: string, why: string): Promise<string> {
    const aside = path.join(this.#folder, '.damaged', `${name}-${randomUUID().slice(0, 8)}`);
    try {
      await mkdir(path.dirname(aside), { recursive: true, mode: 0o700 });
      await rename(this.folderOf(name), aside);
      return `The edit ${name} is damaged (${why}). It was moved to ${aside}.`;
    } catch (error) {
      return `The edit ${name} is damaged (${why}) and could not be moved (${(error as Error).message}).`;
    }
  }

  get #incoming(): string {
    return path.join(this.#folder, '.incoming');
  }

  get #orderFile(): string {
    return path.join(this.#folder, 'order.json');
  }

  #eventsFile(id: string): string {
    return path.join(this.folderOf(id), 'events.jsonl');
  }

  #stateFile(id: string): string {
    return path.join(this.folderOf(id), 'state.json');
  }
}
