import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { EditEvent } from '../../shared/protocol/events.ts';
import { writeDurably } from '../disk/durable.ts';
import { rename } from '../disk/rename.ts';
import { requestFile } from '../engine/edit-files.ts';
import type { Received } from './intake.ts';
import type { EditRecord } from './state.ts';

/**
 * Edits on disk, a folder each: `request.safetensors`, `result.K.safetensors`, `events.jsonl` and `state.json`, which
 * is written last of all. An edit is there as soon as its `state.json` is.
 */
export class Store {
  readonly #folder: string;

  constructor(home: string) {
    this.#folder = path.join(home, 'edits');
  }

  /** For bodies on their way in. */
  get incoming(): string {
    return path.join(this.#folder, '.incoming');
  }

  folderOf(id: string): string {
    return path.join(this.#folder, id);
  }

  /** Makes the folders, and removes what was on its way in when a companion ended. */
  async open(): Promise<void> {
    await rm(this.incoming, { recursive: true, force: true, maxRetries: 5 });
    await mkdir(this.incoming, { recursive: true, mode: 0o700 });
  }

  /** All edits, oldest first; a folder without a readable state is left alone and named. */
  async load(log: (text: string) => void): Promise<EditRecord[]> {
    const records: EditRecord[] = [];
    for (const entry of await readdir(this.#folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
      try {
        records.push(JSON.parse(await readFile(this.#stateFile(entry.name), 'utf8')) as EditRecord);
      } catch (error) {
        log(`The edit ${entry.name} cannot be read and is left out: ${(error as Error).message}`);
      }
    }
    return records.sort((a, b) => a.created.localeCompare(b.created));
  }

  /** Takes a received body in as the request of a new edit. */
  async create(record: EditRecord, received: Received): Promise<void> {
    const folder = this.folderOf(record.id);
    // What is left of an edit that never got its state.
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    await mkdir(folder, { mode: 0o700 });
    await rename(received.file, requestFile(folder));
    await this.save(record);
  }

  async save(record: EditRecord): Promise<void> {
    await writeDurably(this.#stateFile(record.id), `${JSON.stringify(record, null, 2)}\n`);
  }

  /** Previews are not kept: they are worth nothing once the edit has gone on. */
  async append(id: string, event: EditEvent): Promise<void> {
    const kept = event.type === 'step' ? { ...event, preview: undefined, previewBounds: undefined } : event;
    await appendFile(this.#eventsFile(id), `${JSON.stringify(kept)}\n`);
  }

  /** Writes all events anew: what was cut off at the end must not be written on. */
  async rewrite(id: string, events: readonly EditEvent[]): Promise<void> {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`);
    await writeDurably(this.#eventsFile(id), lines.join(''));
  }

  async events(id: string): Promise<EditEvent[]> {
    const text = await readFile(this.#eventsFile(id), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    // A line is cut where the machine lost its power or the disk was full; it is then no event, nor is what was written after it.
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return lines.flatMap(eventOf);
  }

  async remove(id: string): Promise<void> {
    await rm(this.folderOf(id), { recursive: true, force: true, maxRetries: 5 });
  }

  #eventsFile(id: string): string {
    return path.join(this.folderOf(id), 'events.jsonl');
  }

  #stateFile(id: string): string {
    return path.join(this.folderOf(id), 'state.json');
  }
}

function eventOf(line: string): EditEvent[] {
  try {
    return [JSON.parse(line) as EditEvent];
  } catch {
    return [];
  }
}
