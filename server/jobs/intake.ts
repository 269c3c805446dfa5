import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { CodedError } from '../../shared/errors.ts';
import { refuseLargeResult } from '../../shared/limits.ts';
import { encodings, formatOf, readableFormats, signatureBytes } from '../../shared/picture-format.ts';
import { sortLayers } from '../../shared/protocol/layers.ts';
import { type EditRequest, parseEditRequest } from '../../shared/protocol/request.ts';
import { parseHeader, readHeaderLength, type TensorInfo } from '../../shared/safetensors.ts';
import { resolveTask } from '../../shared/tasks.ts';
import { asDiskError, syncFile } from '../disk/durable.ts';
import { readAt } from '../disk/read-range.ts';

/** Fits a document of 10,000 x 10,000 pixels with alpha, its mask and a reference. */
export const maxRequestBytes = 600_000_000;
/** A request has 11 tensors and a few thousand characters: a longer header can't belong to one. */
const maxRequestHeader = 1_000_000;

export interface Received {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * Streams a body to a new file, never holding it whole. Once this resolves, the file survives a power cut.
 * @throws CodedError `too-large`, `disk-full`, `disk-unwritable`; no file is left in that case
 */
export async function receive(body: Readable, file: string): Promise<Received> {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    // Destroying the stream would close the connection, and the client would never learn why.
    for await (const chunk of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxRequestBytes) throw tooLarge(bytes);
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    await pipeline(chunks, createWriteStream(file, { mode: 0o600 }));
    await syncFile(file);
  } catch (cause) {
    await rm(file, { force: true });
    await drain(body);
    throw body.readableAborted || body.errored ? cutOff(bytes, cause) : asDiskError(cause);
  }
  return { file, sha256: hash.digest('hex'), bytes };
}

/** Nobody reads this response, but the companion is not at fault, so it isn't logged as an internal error. */
function cutOff(bytes: number, cause: unknown): CodedError {
  return new CodedError('request-invalid', {
    detail: `The connection was closed after ${bytes} bytes of the request.`,
    remedy: 'Send it again.',
    cause,
  });
}

/** Lets a client send its whole body, up to the size limit: many don't read a response before that. */
async function drain(body: Readable): Promise<void> {
  let bytes = 0;
  const enough = new AbortController();
  body.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxRequestBytes) enough.abort();
  });
  await finished(body, { signal: enough.signal, writable: false }).catch(() => {});
}

export function tooLarge(bytes: number): CodedError {
  return new CodedError('too-large', {
    detail: `The request has ${bytes} bytes or more; the limit is ${maxRequestBytes}.`,
    remedy: 'Send only the part of the picture around the mask, or encoded files instead of pixels.',
  });
}

/**
 * Reads a request's header and the first bytes of its encoded files, and checks all that can be checked from
 * them.
 * @throws CodedError `container-invalid`, `request-invalid`, `image-invalid`, `too-large`, `task-needs`,
 * `instruction-empty`
 */
export async function readRequest(file: string): Promise<EditRequest> {
  const { size } = await stat(file);
  const handle = await open(file);
  try {
    const length = readHeaderLength(await readAt(handle, 0, 8), size, 'The request');
    if (length > maxRequestHeader) {
      throw new CodedError('container-invalid', {
        detail: `The request: its header says ${length} bytes; a request needs no more than ${maxRequestHeader}.`,
        remedy: 'Put only the tensors of the protocol into the request.',
      });
    }
    const json = new TextDecoder().decode(await readAt(handle, 8, length));
    const header = parseHeader(json, size - 8 - length, 'The request');
    const request = parseEditRequest(header.metadata.request ?? '');
    const { edit, mask, references } = sortLayers(header.tensors);
    const margin = mayHaveMargin(header.tensors);
    resolveTask(request, { edit: !!edit, mask: !!mask, references: references.length, margin });
    refuseLargeResult(request);
    for (const [name, { begin, end }] of header.tensors) {
      checkFormat(name, await readAt(handle, 8 + length + begin, Math.min(end - begin, signatureBytes)));
    }
    return request;
  } finally {
    await handle.close();
  }
}

/** Whether the picture may have transparent pixels; only the engine decodes it and knows. */
function mayHaveMargin(tensors: ReadonlyMap<string, TensorInfo>): boolean {
  const mayHaveAlpha = encodings.some((encoding) => encoding !== 'jpg' && tensors.has(`edit.${encoding}`));
  return mayHaveAlpha || tensors.get('edit')?.shape[2] === 4;
}

/** A file's type is decided by its first bytes: a name that contradicts them is refused before queueing. */
function checkFormat(tensor: string, start: Uint8Array): void {
  const named = encodings.find((encoding) => tensor.endsWith(`.${encoding}`));
  if (!named) return;
  const { name, encoding } = formatOf(start);
  if (encoding === named) return;
  throw new CodedError('image-invalid', {
    detail:
      name === 'empty'
        ? `The tensor "${tensor}" has 0 bytes.`
        : `The tensor "${tensor}" is no ${named.toUpperCase()} file; its format is ${name}.`,
    remedy: encoding
      ? `Name it after the format that it has: .${encoding}.`
      : `Save it as ${readableFormats}.`,
  });
}
