import { type FileHandle, open, readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { type Digest, digestText } from './digest.ts';

/** How certain it is that a chunk arrived as it was sent. */
export type Trust =
  /** From one connection that ended normally. */
  | 'whole'
  /**
   * Assembled from several connections, or from one that broke: if bytes are wrong, they are most likely
   * here.
   */
  | 'pieced'
  /** Downloaded twice, with identical bytes. */
  | 'twice';

export interface Chunk {
  readonly sha256: string;
  readonly trust: Trust;
}

/** Identifies the file, so that chunks of another revision are never mixed in. */
const headerSchema = v.object({ size: v.number(), digest: v.string(), chunkBytes: v.number() });
const line = /^(\d+) ([0-9a-f]{64}) (whole|pieced|twice)$/;

/**
 * The SHA-256 of each chunk of a file as it arrived, in a text file next to it: a header, then a line per
 * chunk, appended once its bytes are written. It survives a kill at any moment: an incomplete line does not
 * count. With it, damage on the disk is found and repaired chunk by chunk, both during a download and later.
 */
export class Chunks {
  readonly #handle: FileHandle;
  readonly #known: Map<number, Chunk>;

  private constructor(
    handle: FileHandle,
    known: Map<number, Chunk>,
    readonly chunkBytes: number,
    /** Whether it belongs to the file next to it. */
    readonly isContinued: boolean,
  ) {
    this.#handle = handle;
    this.#known = known;
  }

  /** Opens the journal of a file, or starts a new one if there is none or it belongs to another file. */
  static async open(file: string, size: number, digest: Digest, chunkBytes: number): Promise<Chunks> {
    const before = await readChunks(file);
    if (before && before.size === size && before.digest === digestText(digest)) {
      const handle = await open(file, 'a', 0o600);
      // Terminates a line that was cut off.
      await handle.appendFile('\n');
      return new Chunks(handle, before.chunks, before.chunkBytes, true);
    }
    const handle = await open(file, 'w', 0o600);
    await handle.appendFile(`${JSON.stringify({ size, digest: digestText(digest), chunkBytes })}\n`);
    return new Chunks(handle, new Map(), chunkBytes, false);
  }

  get(index: number): Chunk | undefined {
    return this.#known.get(index);
  }

  async set(index: number, chunk: Chunk): Promise<void> {
    this.#known.set(index, chunk);
    await this.#handle.appendFile(`${index} ${chunk.sha256} ${chunk.trust}\n`);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** The content of a file's journal, if there is a readable one. */
export async function readChunks(
  file: string,
): Promise<{ size: number; digest: string; chunkBytes: number; chunks: Map<number, Chunk> } | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const [first = '', ...lines] = text.split('\n');
  try {
    const header = v.parse(headerSchema, JSON.parse(first));
    const chunks = new Map<number, Chunk>();
    for (const text of lines) {
      const [, index, sha256, trust] = line.exec(text) ?? [];
      if (index && sha256) chunks.set(Number(index), { sha256, trust: trust as Trust });
    }
    return { ...header, chunks };
  } catch {
    return undefined;
  }
}
