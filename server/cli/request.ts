import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CodedError } from '../../shared/errors.ts';
import { type Encoding, formatOf, readableFormats } from '../../shared/picture-format.ts';
import { parseEditRequest } from '../../shared/protocol/request.ts';
import { encodeContainer, type Tensor } from '../../shared/safetensors.ts';
import { type Flags, fromPerson } from './flags.ts';

export interface EncodedRequest {
  readonly container: Uint8Array;
  /** The content of the image file to edit. */
  readonly picture: Uint8Array | undefined;
}

/**
 * Encodes the flags as an edit request, with the files unchanged.
 * @throws CodedError `request-invalid`, `image-invalid`, naming the file
 */
export async function encodeRequest(flags: Flags): Promise<EncodedRequest> {
  const { task, control, instruction, width, height, steps, guidance, model, adapter } = flags;
  const request = JSON.stringify({
    version: 1,
    task,
    control,
    instruction,
    layer: flags.layer,
    width,
    height,
    seed: flags.seed ?? randomInt(2 ** 32),
    steps,
    guidance,
    firstBlockCache: flags.firstBlockCache,
    model,
    ...(adapter.length > 0 && { adapters: adapter }),
  });
  // Before reading any file, so that an invalid number is reported immediately.
  parseEditRequest(request);
  const tensors = new Map<string, Tensor>();
  const add = async (name: string, file: string) => {
    const { encoding, data } = await readPicture(file);
    tensors.set(`${name}.${encoding}`, { dtype: 'U8', shape: [data.length], data });
    return data;
  };
  const picture = flags.image === undefined ? undefined : await add('edit', flags.image);
  if (flags.mask !== undefined) await add('mask', flags.mask);
  for (const [i, file] of flags.reference.entries()) await add(`reference.${i}`, file);
  return { container: encodeContainer({ metadata: { request }, tensors }), picture };
}

/** Reads a file only once: it may be a pipe. */
async function readPicture(given: string): Promise<{ encoding: Encoding; data: Buffer }> {
  let data: Buffer;
  try {
    data = await readFile(fromPerson(given));
  } catch (cause) {
    throw new CodedError('image-invalid', {
      detail: `"${given}" cannot be read: ${(cause as Error).message}.`,
      remedy: 'Check the path; it is relative to your folder.',
      cause,
    });
  }
  const { name, encoding } = formatOf(data);
  if (encoding) return { encoding, data };
  throw new CodedError('image-invalid', {
    detail: `"${given}" cannot be read: ${name === 'empty' ? 'it has 0 bytes' : `its format is ${name}`}.`,
    remedy: `Save the picture as ${readableFormats}.`,
  });
}
