import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { CodedError } from '../../shared/errors.ts';
import { parseEditRequest } from '../../shared/protocol/request.ts';
import { encodeContainer, type Tensor } from '../../shared/safetensors.ts';
import { type Flags, fromPerson } from './flags.ts';

/**
 * Encodes the flags as an edit request, with the files as they are.
 * @throws CodedError `request-invalid`, `image-invalid`, naming the file
 */
export async function encodeRequest(flags: Flags): Promise<Uint8Array> {
  const { task, control, instruction, width, height, steps, guidance, model, adapter } = flags;
  const request = JSON.stringify({
    version: 1,
    task,
    control,
    instruction,
    width,
    height,
    seed: flags.seed ?? randomInt(2 ** 32),
    steps,
    guidance,
    firstBlockCache: flags.firstBlockCache,
    model,
    ...(adapter.length > 0 && { adapters: adapter }),
  });
  // Before any file is read: a wrong number is found at once.
  parseEditRequest(request);
  const tensors = new Map<string, Tensor>();
  const add = async (name: string, file: string) => {
    const { encoding, data } = await readPicture(file);
    tensors.set(`${name}.${encoding}`, { dtype: 'U8', shape: [data.length], data });
  };
  if (flags.image !== undefined) await add('edit', flags.image);
  if (flags.mask !== undefined) await add('mask', flags.mask);
  for (const [i, file] of flags.reference.entries()) await add(`reference.${i}`, file);
  return encodeContainer({ metadata: { request }, tensors });
}

async function readPicture(given: string): Promise<{ encoding: string; data: Buffer }> {
  let data: Buffer;
  try {
    data = await readFile(fromPerson(given));
  } catch (cause) {
    throw unreadable(
      given,
      (cause as Error).message,
      'Check the path; it is relative to your folder.',
      cause,
    );
  }
  const remedy = 'Save the picture as PNG, JPEG or WebP.';
  const format = await sharp(data)
    .metadata()
    .then((header) => header.format)
    .catch((cause: Error) => {
      throw unreadable(given, cause.message, remedy, cause);
    });
  const encoding = { png: 'png', jpeg: 'jpg', webp: 'webp' }[format as string];
  if (!encoding) throw unreadable(given, `it is ${format}`, remedy);
  return { encoding, data };
}

function unreadable(file: string, reason: string, remedy: string, cause?: unknown): CodedError {
  return new CodedError('image-invalid', { detail: `"${file}" cannot be read: ${reason}.`, remedy, cause });
}
