/** What an adapter wants of an edit, beside its file: `adapters/<name>.json`, which `acepp models adapters add` writes. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { adaptersFolder, listAdapters, type ModelEntry } from './catalogue.ts';

const schema = v.strictObject({
  /** Distilled to so many. */
  steps: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100))),
  guidance: v.optional(v.pipe(v.number(), v.finite(), v.minValue(0))),
});

/** Steps and guidance that an adapter was made for. */
export type AdapterDefaults = v.InferOutput<typeof schema>;

export const defaultsSuffix = '.json';

/**
 * By name, those of a model's adapters that want something.
 * @throws CodedError `adapter-invalid` where a file of them cannot be read
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
      remedy: 'Write it as {"steps": 8, "guidance": 30}, or remove it.',
      cause,
    });
  }
}
