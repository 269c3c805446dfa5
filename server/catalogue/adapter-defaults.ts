/** An adapter's defaults for an edit, next to its file: `adapters/<name>.json`, written by `acepp models adapters add`. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { adaptersFolder, listAdapters, type ModelEntry } from './catalogue.ts';

const schema = v.strictObject({
  /** The number of steps it was distilled to. */
  steps: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100))),
  guidance: v.optional(v.pipe(v.number(), v.finite(), v.minValue(0))),
});

/** The steps and guidance an adapter was made for. */
export type AdapterDefaults = v.InferOutput<typeof schema>;

export const defaultsSuffix = '.json';

/**
 * The defaults of a model's adapters, by name, for those that have any.
 * @throws CodedError `adapter-invalid` if one of the files cannot be read
 */
export async function adapterDefaults(model: ModelEntry): Promise<Readonly<Record<string, AdapterDefaults>>> {
  const all: Record<string, AdapterDefaults> = {};
  for (const name of await listAdapters(model)) {
    const file = path.join(model.folder, adaptersFolder, name + defaultsSuffix);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined) all[name] = parse(text, file);
  }
  return all;
}

function parse(text: string, file: string): AdapterDefaults {
  try {
    return v.parse(schema, JSON.parse(text));
  } catch (cause) {
    throw new CodedError('adapter-invalid', {
      detail: `${file} cannot be read: ${(cause as Error).message}.`,
      remedy: 'Write it like {"steps": 8, "guidance": 30}, or delete it.',
      cause,
    });
  }
}
