import { type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { asDiskError } from '../disk/durable.ts';
import { writeAt } from '../disk/read-range.ts';
import { rename } from '../disk/rename.ts';
import { Chunks } from './chunks.ts';
import { bytesOfFile, digestText, hashFor, sha256Of } from './digest.ts';
import type { RemoteFile } from './hub.ts';
import { ifHubIsWrong, type RetryOptions, retrying } from './retry.ts';

export const partSuffix = '.part';
export const chunksSuffix = '.chunks';

/** Damaged parts are downloaded again in chunks of this size. */
const defaultChunkBytes = 2 ** 24;

/** Where the bytes of a file come from. */
export interface Origin {
  /** The bytes from `begin` up to `end`; it may stop early. */
  read(file: RemoteFile, begin: number, end: number): AsyncIterable<Uint8Array>;
}

export interface DownloadOptions extends Omit<RetryOptions, 'name'> {
  /** Bytes of the file that have arrived. */
  readonly progress: (bytes: number) => void;
  readonly chunkBytes?: number;
}

/**
 * Downloads a file, resuming what an earlier call left. `destination` appears complete, with the digest that
 * the hub reports, or not at all; until then, `destination.part` has the bytes and `destination.chunks` the
 * hashes of its chunks, which stays for `verify`.
 *
 * How wrong bytes are found: the hub gives one hash for the whole file, which only shows that something is
 * wrong. (1) Bytes damaged here, on the disk or by a power cut, no longer match the hash of their chunk as it
 * arrived: exactly those chunks are downloaded again. (2) Bytes that were already wrong when they arrived
 * match their chunk hashes. No hash shows where they are, so chunks are downloaded again and compared,
 * starting with those assembled from broken connections, until the whole file is right; only those that
 * differ are written. On average, half of the file is transferred twice: no hash finer than the whole file's
 * is published.
 * @throws CodedError `hub-refused`, `hub-unreachable`, `hub-wrong`, `disk-full`; the signal's reason
 */
export async function download(
  origin: Origin,
  file: RemoteFile,
  destination: string,
  options: DownloadOptions,
): Promise<void> {
  try {
    await mkdir(path.dirname(destination), { recursive: true });
    const part = await PartialDownload.open(origin, file, destination, options);
    try {
      await part.complete();
    } finally {
      await part.close();
    }
    await rename(destination + partSuffix, destination);
  } catch (cause) {
    throw asDiskError(cause);
  }
}

/** How many bytes of a file are left from an earlier call. */
export async function fetchedBytes(destination: string): Promise<number> {
  return stat(destination + partSuffix).then(
    ({ size }) => size,
    () => 0,
  );
}

class PartialDownload {
  readonly #origin: Origin;
  readonly #file: RemoteFile;
  readonly #name: string;
  readonly #place: string;
  readonly #handle: FileHandle;
  readonly #chunks: Chunks;
  readonly #options: DownloadOptions;

  private constructor(
    origin: Origin,
    file: RemoteFile,
    destination: string,
    handle: FileHandle,
    chunks: Chunks,
    options: DownloadOptions,
  ) {
    this.#origin = origin;
    this.#file = file;
    this.#name = path.basename(destination);
    this.#place = destination + partSuffix;
    this.#handle = handle;
    this.#chunks = chunks;
    this.#options = options;
  }

  static async open(
    origin: Origin,
    file: RemoteFile,
    destination: string,
    options: DownloadOptions,
  ): Promise<PartialDownload> {
    const place = destination + partSuffix;
    const { size, digest } = file;
    const chunks = await Chunks.open(
      destination + chunksSuffix,
      size,
      digest,
      options.chunkBytes ?? defaultChunkBytes,
    );
    // Without its hashes, nothing shows whether this is the same file.
    if (!chunks.isContinued) await rm(place, { force: true });
    const handle = await open(place, 'r+').catch(() => open(place, 'w+', 0o644));
    if ((await handle.stat()).size > size) await handle.truncate(size);
    return new PartialDownload(origin, file, destination, handle, chunks, options);
  }

  async close(): Promise<void> {
    await this.#chunks.close();
    await this.#handle.close();
  }

  async complete(): Promise<void> {
    const { log } = this.#options;
    const isRight = (hex: string) => hex === this.#file.digest.hex;
    let hex = await this.#mendAndAppend();
    if (!isRight(hex)) {
      // What was written during the download may differ from what the disk returns.
      hex = await this.#mendAndAppend();
    }
    if (!isRight(hex)) {
      log(
        `${this.#name} has the ${this.#file.digest.algorithm} ${hex}, not ${this.#file.digest.hex}: part of it was corrupted on the way. Downloading its parts again and comparing them until the corrupted one is found.`,
      );
      hex = await this.#compareChunks(hex, isRight);
    }
    if (!isRight(hex)) {
      await rm(this.#place, { force: true });
      throw new CodedError('hub-wrong', {
        detail: `${this.#file.repo}/${this.#file.path} was downloaded twice and compared, but its hash is ${hex}, not ${digestText(this.#file.digest)}.`,
        remedy: `Do not use it. ${this.#options.ifWrong ?? ifHubIsWrong}`,
      });
    }
    await this.#handle.sync();
  }

  /** @returns the digest of the file */
  async #mendAndAppend(): Promise<string> {
    let there = await this.#hash();
    for (const index of there.damaged) {
      this.#options.log(
        `${this.#name}: ${this.#describe(index)} were damaged on disk; downloading them again.`,
      );
      const bytes = await this.#fetchChunk(index);
      await writeAt(this.#handle, this.#begin(index), bytes);
      const sha256 = sha256Of(bytes);
      const known = this.#chunks.get(index)?.sha256;
      // Bytes differ from the first time: if the whole file is wrong, this chunk is checked first.
      if (sha256 !== known) await this.#chunks.set(index, { sha256, trust: 'pieced' });
    }
    if (there.damaged.length > 0) there = await this.#hash();
    const { whole } = there;
    const { size } = this.#file;
    const { chunkBytes } = this.#chunks;
    let { length, chunk } = there;
    let isPieced = false;
    const append = async (bytes: Uint8Array) => {
      await writeAt(this.#handle, length, bytes);
      whole.update(bytes);
      for (let rest = bytes; rest.length > 0; ) {
        const index = Math.floor(length / chunkBytes);
        const now = rest.subarray(0, this.#end(index) - length);
        chunk.update(now);
        length += now.length;
        rest = rest.subarray(now.length);
        if (length === this.#end(index)) {
          await this.#chunks.set(index, {
            sha256: chunk.digest('hex'),
            trust: isPieced ? 'pieced' : 'whole',
          });
          chunk = hashFor('sha256', 0);
          isPieced = false;
        }
      }
      this.#options.progress(length);
    };
    this.#options.progress(length);
    const request = async () => {
      isPieced = length % chunkBytes > 0;
      for await (const bytes of this.#origin.read(this.#file, length, size)) await append(bytes);
      return length === size;
    };
    if (length < size) await retrying(this.#retry, request, () => length);
    return whole.digest('hex');
  }

  /**
   * Downloads chunks again and compares them until the whole file is right. If two downloads differ, a third
   * decides.
   */
  async #compareChunks(first: string, isRight: (hex: string) => boolean): Promise<string> {
    const count = Math.ceil(this.#file.size / this.#chunks.chunkBytes);
    const rank = { pieced: 0, whole: 1, twice: 2 };
    const trustOf = (index: number) => this.#chunks.get(index)?.trust ?? 'pieced';
    const order = Array.from({ length: count }, (_, index) => index)
      .filter((index) => trustOf(index) !== 'twice')
      .sort((a, b) => rank[trustOf(a)] - rank[trustOf(b)] || a - b);
    let hex = first;
    for (const [i, index] of order.entries()) {
      this.#options.progress((this.#file.size * i) / order.length);
      const known = this.#chunks.get(index)?.sha256;
      const second = sha256Of(await this.#fetchChunk(index));
      if (second === known) {
        await this.#chunks.set(index, { sha256: second, trust: 'twice' });
        continue;
      }
      this.#options.log(`${this.#name}: ${this.#describe(index)} differ from the first download.`);
      const bytes = await this.#fetchChunk(index);
      const third = sha256Of(bytes);
      if (third !== known) {
        await writeAt(this.#handle, this.#begin(index), bytes);
        hex = (await this.#hash()).whole.digest('hex');
      }
      const trust = third === known || third === second ? 'twice' : 'pieced';
      await this.#chunks.set(index, { sha256: third, trust });
      if (isRight(hex)) return hex;
    }
    return hex;
  }

  async #fetchChunk(index: number): Promise<Uint8Array> {
    const [begin, end] = [this.#begin(index), this.#end(index)];
    const bytes = new Uint8Array(end - begin);
    let done = 0;
    const request = async () => {
      for await (const piece of this.#origin.read(this.#file, begin + done, end)) {
        bytes.set(piece, done);
        done += piece.length;
      }
      return done === bytes.length;
    };
    await retrying(this.#retry, request, () => done);
    return bytes;
  }

  /** Reads the existing bytes: the hashes so far, and the chunks that differ from what arrived. */
  async #hash() {
    const { size, digest } = this.#file;
    const whole = hashFor(digest.algorithm, size);
    const damaged: number[] = [];
    let chunk = hashFor('sha256', 0);
    let length = 0;
    for await (const bytes of bytesOfFile(this.#place, this.#options.signal)) {
      whole.update(bytes);
      for (let rest = bytes; rest.length > 0; ) {
        const index = Math.floor(length / this.#chunks.chunkBytes);
        const now = rest.subarray(0, this.#end(index) - length);
        chunk.update(now);
        length += now.length;
        rest = rest.subarray(now.length);
        if (length < this.#end(index)) continue;
        const sha256 = chunk.digest('hex');
        chunk = hashFor('sha256', 0);
        const known = this.#chunks.get(index);
        // The process was killed between writing the bytes and their line.
        if (!known) await this.#chunks.set(index, { sha256, trust: 'pieced' });
        else if (known.sha256 !== sha256) damaged.push(index);
      }
    }
    return { whole, chunk, length, damaged };
  }

  get #retry(): RetryOptions {
    return { ...this.#options, name: this.#name };
  }

  #begin(index: number): number {
    return index * this.#chunks.chunkBytes;
  }

  #end(index: number): number {
    return Math.min(this.#file.size, (index + 1) * this.#chunks.chunkBytes);
  }

  #describe(index: number): string {
    return `bytes ${this.#begin(index)} to ${this.#end(index) - 1}`;
  }
}
