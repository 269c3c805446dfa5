import { type FileHandle, open, readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { type Digest, digestText } from './digest.ts';

/** How sure it is that a chunk arrived as it was sent. */
export type Trust =
  /** Of one connection that ended as it should. */
  | 'whole'
  /** Put together from several connections, or from one that broke: where bytes go wrong if anywhere. */
  | 'pieced'
  /** Fetched twice, with the same bytes. */
  | 'twice';

export interface Chunk {
  readonly sha256: string;
  readonly trust: Trust;
}

/** Of which file, so that the chunks of another revision are never mixed in. */
const headerSchema = v.object({ size: v.number(), digest: v.string(), chunkBytes: v.number() });
const line = /^(\d+) ([0-9a-f]{64}) (whole|pieced|twice)$/;

/**
 * The SHA-256 of each chunk of a file as it arrived, in a text file beside it: a header, then a line for each chunk, appended
 * when its bytes were written. It survives a kill at any moment: a line that is cut off does not count. With it, what was
 * damaged on the disk is found and fetched by chunks, while fetching as well as later.
 */
export class Chunks {
  readonly #handle: FileHandle;
  readonly #known: Map<number, Chunk>;

  private constructor(
    handle: FileHandle,
    known: Map<number, Chunk>,
    readonly chunkBytes: number,
    /** It belongs to what lies beside it. */
    readonly isContinued: boolean,
  ) {
    this.#handle = handle;
    this.#known = known;
  }

  /** Opens the journal of a file, or begins a new one where there is none or it is another file's. */
  static async open(file: string, size: number, digest: Digest, chunkBytes: number): Promise<Chunks> {
    const before = await readChunks(file);
    if (before && before.size === size && before.digest === digestText(digest)) {
      const handle = await open(file, 'a', 0o600);
      // Ends a line that was cut off.
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

/** What the journal of a file says, if there is a readable one. */
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
