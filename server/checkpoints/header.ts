import { access, type FileHandle, open, realpath } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { maxHeaderBytes, parseHeader, readHeaderLength } from '../../shared/safetensors.ts';
import { readAt } from '../disk/read-range.ts';
import { type NetworkName, selectNetwork } from './bundle.ts';
import { readGGUF } from './gguf/gguf.ts';
import { joinSplit } from './gguf/split.ts';
import { listed } from './name-list.ts';
import { invalidFile, type PlainTensor, type StoredTensors } from './tensor.ts';

/** The suffix that turns a file's name into that of its shard index. */
export const indexSuffix = '.index.json';

/** Written by transformers and diffusers next to the shards: which tensor is in which file. */
const indexSchema = v.object({
  metadata: v.optional(v.record(v.string(), v.unknown()), {}),
  weight_map: v.record(v.string(), v.string()),
});

const ggufSuffix = '.gguf';

/** The GGUF name for `X.safetensors`: `X.gguf`. */
export function asGGUF(file: string): string {
  return file.replace(/\.safetensors$/, ggufSuffix);
}

export function isGGUF(file: string): boolean {
  return file.endsWith(ggufSuffix);
}

/** The files that can provide weights: the file itself, its shard index, or its GGUF version. */
export function standIns(file: string): readonly string[] {
  return [file, file + indexSuffix, asGGUF(file)];
}

/** The absolute path of a weights file, or of its substitute. */
export async function resolveFile(file: string): Promise<string> {
  const absolute = path.resolve(file);
  for (const place of standIns(absolute)) if (await exists(place)) return place;
  return absolute;
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/**
 * Reads and checks the header of `file`, or of its substitute.
 * @param network the one to take from an all-in-one checkpoint; without it, all tensors under the file's own
 * names
 * @throws CodedError `model-missing` if there is no such file, `model-file-invalid` with the file's name
 */
export async function openStored(
  file: string,
  network?: NetworkName,
): Promise<{ file: string; stored: StoredTensors }> {
  const resolved = await resolveFile(file);
  const read = resolved.endsWith(indexSuffix) ? readShards : isGGUF(resolved) ? readGGUFHeader : readHeader;
  const stored = await read(resolved);
  return { file: resolved, stored: network ? selectNetwork(stored, network, resolved) : stored };
}

/**
 * Reads the header of a safetensors file and checks it against the size of the file.
 * @throws CodedError `model-missing` if there is no such file, `model-file-invalid` with the file's name
 */
export function readHeader(file: string): Promise<StoredTensors> {
  return withFile(file, async (handle) => {
    const { size } = await handle.stat();
    const prefix = await readBytes(handle, 0, Math.min(8, size));
    const length = readHeaderLength(prefix, size, file);
    const json = new TextDecoder().decode(await readBytes(handle, 8, length));
    const header = parseHeader(json, size - 8 - length, file);
    const tensors = new Map<string, PlainTensor>();
    for (const [name, { dtype, shape, begin, end }] of header.tensors) {
      const data = { file, offset: 8 + length + begin, length: end - begin };
      tensors.set(name, { storage: 'plain', name, dtype, shape, data });
    }
    return { tensors, metadata: header.metadata, bytes: size };
  });
}

/**
 * Reads `*.safetensors.index.json` and the headers of the shards that it names, in the same folder.
 * @throws CodedError like `readHeader`, and if a tensor is not in the shard that the index names
 */
export async function readShards(index: string): Promise<StoredTensors> {
  const parsed = await withFile(index, async (handle) => {
    const { size } = await handle.stat();
    if (size > maxHeaderBytes) {
      throw invalidFile(`${index} takes ${size} bytes, beyond ${maxHeaderBytes}.`);
    }
    return v.parse(indexSchema, JSON.parse(new TextDecoder().decode(await readBytes(handle, 0, size))));
  });
  const shards = new Map<string, StoredTensors>();
  for (const shard of new Set(Object.values(parsed.weight_map))) {
    if (path.basename(shard) !== shard) {
      throw invalidFile(`${index} names the shard "${shard}", which is not a file beside it.`);
    }
    shards.set(shard, await readHeader(path.join(path.dirname(index), shard)));
  }
  const tensors = new Map<string, PlainTensor>();
  for (const [name, shard] of Object.entries(parsed.weight_map)) {
    const tensor = shards.get(shard)?.tensors.get(name);
    if (!tensor) {
      throw invalidFile(
        `${path.join(path.dirname(index), shard)} has no tensor "${name}", as ${index} says.`,
      );
    }
    tensors.set(name, tensor);
  }
  for (const [shard, { tensors: held }] of shards) {
    const left = [...held.keys()].filter((name) => parsed.weight_map[name] === undefined);
    if (left.length === 0) continue;
    const place = path.join(path.dirname(index), shard);
    throw invalidFile(`${index} leaves out tensors of ${place}: ${listed(left)}.`);
  }
  const texts = Object.entries(parsed.metadata).map(([key, value]) => [key, String(value)]);
  const metadata = Object.assign(
    {},
    ...[...shards.values()].map((shard) => shard.metadata),
    Object.fromEntries(texts),
  );
  const bytes = [...shards.values()].reduce((sum, shard) => sum + shard.bytes, 0);
  return { tensors, metadata, bytes };
}

/** Includes all parts of a split file, wherever the first one is. */
async function readGGUFHeader(file: string): Promise<StoredTensors> {
  const first = await readOneGGUF(file);
  if (!first.split) return first;
  return joinSplit(file, await realpath(file), first, readOneGGUF);
}

function readOneGGUF(file: string) {
  return withFile(file, async (handle) => readGGUF(handle, (await handle.stat()).size, file));
}

async function withFile<T>(file: string, read: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (cause) {
    throw new CodedError('model-missing', {
      detail: `The weights file ${file} cannot be opened: ${(cause as Error).message}.`,
      remedy: 'Install the model again.',
      cause,
    });
  }
  try {
    return await read(handle);
  } catch (cause) {
    if (cause instanceof CodedError && cause.code === 'model-file-invalid') throw cause;
    if (cause instanceof CodedError) throw invalidFile(cause.detail, cause);
    throw invalidFile(`${file} cannot be read: ${(cause as Error).message}.`, cause);
  } finally {
    await handle.close();
  }
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = await readAt(handle, position, length);
  if (bytes.length < length) throw new Error(`it ends at byte ${position + bytes.length}`);
  return bytes;
}
