import { type FileHandle, open, stat } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { CodedError } from '../../shared/errors.ts';
import { readResult as checkResult } from '../../shared/protocol/result-container.ts';
import { type Container, decodeContainer, parseHeader, readHeaderLength } from '../../shared/safetensors.ts';
import { readBytes, writeDurably } from '../disk/durable.ts';
import { readAt } from '../disk/read-range.ts';
import { layerPNG } from './layer-png.ts';

const thumbnailSide = 256;

export interface ResultFile {
  readonly handle: FileHandle;
  readonly size: number;
}

/**
 * Opens a result after checking its header and length. It can then be removed while it is being sent.
 * @throws CodedError `result-damaged`
 */
export async function openResult(file: string): Promise<ResultFile> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    const { size } = await handle.stat();
    const length = readHeaderLength(await readAt(handle, 0, 8), size, 'The result');
    const header = new TextDecoder().decode(await readAt(handle, 8, length));
    parseHeader(header, size - 8 - length, 'The result');
    return { handle, size };
  } catch (cause) {
    await handle?.close();
    throw damaged(file, cause);
  }
}

/** @throws CodedError `result-damaged` */
export async function readResult(file: string): Promise<Container> {
  try {
    const container = decodeContainer(await readBytes(file), 'The result');
    checkResult(container);
    return container;
  } catch (cause) {
    throw damaged(file, cause);
  }
}

/**
 * A small PNG of a result, created once.
 * @throws CodedError `result-damaged`, `disk-full`
 */
export async function thumbnail(
  result: string,
): Promise<{ readonly png: Uint8Array; readonly isNew: boolean }> {
  const file = path.join(path.dirname(result), 'thumbnail.png');
  const known = await readBytes(file).catch(() => undefined);
  if (known) return { png: known, isNew: false };
  const container = await readResult(result);
  try {
    const layer = sharp(await layerPNG(container));
    const png = await layer
      .resize(thumbnailSide, thumbnailSide, { fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .png()
      .toBuffer();
    await writeDurably(file, png);
    return { png, isNew: true };
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw damaged(result, cause);
  }
}

/**
 * Total bytes of the files.
 * @throws CodedError `result-damaged` if one is missing
 */
export async function bytesOf(files: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const file of files) {
    try {
      bytes += (await stat(file)).size;
    } catch (cause) {
      throw damaged(file, cause);
    }
  }
  return bytes;
}

function damaged(file: string, cause: unknown): CodedError {
  const name = path.basename(file);
  const id = path.basename(path.dirname(file));
  const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
  return new CodedError('result-damaged', {
    detail: isMissing
      ? `The file ${name} of the edit ${id} is missing.`
      : `The file ${name} of the edit ${id} is damaged: ${(cause as Error).message}`,
    remedy: 'Run the edit again from the panel.',
    cause,
  });
}
