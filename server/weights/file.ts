import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import {
  type DType,
  parseHeader,
  readHeaderLength,
  type SafetensorsHeader,
} from '../../shared/safetensors.ts';
import type { ExternalData } from '../graph/value.ts';

/** A tensor in a weights file: what it is and where its bytes lie. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ExternalData;
}

/** A safetensors file of which the header alone is read. */
export class WeightsFile {
  readonly #header: SafetensorsHeader;
  readonly #dataStart: number;

  private constructor(
    /** Absolute. */
    readonly file: string,
    header: SafetensorsHeader,
    dataStart: number,
    /** Size of the whole file. */
    readonly bytes: number,
  ) {
    this.#header = header;
    this.#dataStart = dataStart;
  }

  /**
   * Reads and checks the header against the size of the file.
   * @throws CodedError `model-missing` if there is no such file, `model-file-invalid` with the file's name
   */
  static async open(file: string): Promise<WeightsFile> {
    const absolute = path.resolve(file);
    let handle: FileHandle;
    try {
      handle = await open(absolute, 'r');
    } catch (cause) {
      throw new CodedError('model-missing', {
        detail: `The weights file ${absolute} cannot be opened: ${(cause as Error).message}.`,
        remedy: 'Install the model again.',
        cause,
      });
    }
    try {
      const { size } = await handle.stat();
      const prefix = await readBytes(handle, 0, Math.min(8, size));
      const length = readHeaderLength(prefix, size, absolute);
      const json = new TextDecoder().decode(await readBytes(handle, 8, length));
      const header = parseHeader(json, size - 8 - length, absolute);
      return new WeightsFile(absolute, header, 8 + length, size);
    } catch (cause) {
      if (cause instanceof CodedError) throw invalidFile(cause.detail, cause);
      throw invalidFile(`${absolute} cannot be read: ${(cause as Error).message}.`, cause);
    } finally {
      await handle.close();
    }
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#header.metadata;
  }

  has(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  /** @throws CodedError `model-file-invalid` if there is none of this name */
  get(name: string): StoredTensor {
    const info = this.#header.tensors.get(name);
    if (!info) throw invalidFile(`${this.file} has no tensor "${name}".`);
    const { dtype, shape, begin, end } = info;
    const data = { file: this.file, offset: this.#dataStart + begin, length: end - begin };
    return { name, dtype, shape, data };
  }

  /** A number of the metadata. */
  number(key: string, otherwise: number): number {
    const text = this.metadata[key];
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value)) return value;
    throw invalidFile(`${this.file} has "${key}": "${text}" in its metadata, which is not a number.`);
  }
}

export function invalidFile(detail: string, cause?: unknown): CodedError {
  return new CodedError('model-file-invalid', {
    detail,
    remedy: 'Install the model again; its file is incomplete, or made for something else.',
    cause,
  });
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw new Error(`it ends at byte ${position + done}`);
    done += bytesRead;
  }
  return bytes;
}
