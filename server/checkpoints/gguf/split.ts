/**
 * Split GGUF files, `X-00001-of-00003.gguf` and so on, as llama.cpp's gguf-split writes them
 * (tools/gguf-split).
 */
import { access } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../../shared/errors.ts';
import type { PlainTensor, StoredTensors } from '../tensor.ts';
import type { GGUFHeader } from './gguf.ts';

const partName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

/**
 * The tensors of all parts.
 * @param file one part as the user named it, for messages
 * @param real its real path; the other parts are in the same folder
 * @throws CodedError `model-file-invalid` listing the missing parts
 */
export async function joinSplit(
  file: string,
  real: string,
  first: GGUFHeader,
  read: (file: string) => Promise<GGUFHeader>,
): Promise<StoredTensors> {
  const { parts = 1, part = 0, tensors: wanted = 0 } = first.split ?? {};
  const [, stem] = partName.exec(path.basename(real)) ?? [];
  const number = (value: number) => String(value).padStart(5, '0');
  if (stem === undefined) {
    throw refused(
      `${file} is part ${part + 1} of ${parts} of a GGUF file, but its name does not end in "-${number(part + 1)}-of-${number(parts)}.gguf", so the other parts cannot be found.`,
    );
  }
  const places = Array.from({ length: parts }, (_, i) =>
    path.join(path.dirname(real), `${stem}-${number(i + 1)}-of-${number(parts)}.gguf`),
  );
  const missing: string[] = [];
  for (const place of places) await access(place).catch(() => missing.push(place));
  if (missing.length > 0) {
    throw refused(`${file} is part ${part + 1} of ${parts} of a GGUF file; missing: ${missing.join(', ')}.`);
  }
  const tensors = new Map<string, PlainTensor>();
  let bytes = 0;
  for (const [i, place] of places.entries()) {
    const header = await read(place);
    if (header.split?.part !== i || header.split.parts !== parts) {
      throw refused(`${place} says that it is another part than its name says.`);
    }
    for (const [name, tensor] of header.tensors) {
      if (tensors.has(name)) throw refused(`${place} has "${name}", which an earlier part has too.`);
      tensors.set(name, tensor);
    }
    bytes += header.bytes;
  }
  if (wanted > 0 && tensors.size !== wanted) {
    throw refused(`The parts of ${file} have ${tensors.size} tensors, but should have ${wanted}.`);
  }
  return { tensors, metadata: first.metadata, bytes };
}

function refused(detail: string): CodedError {
  return new CodedError('model-file-invalid', {
    detail,
    remedy: 'Put all parts into one folder under the names they were published with.',
  });
}
