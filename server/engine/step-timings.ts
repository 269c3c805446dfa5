import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { writeDurably } from '../disk/durable.ts';
import { homeFolder } from '../disk/paths.ts';
import type { Pace } from '../pipeline/estimate.ts';

const pacesSchema = v.record(
  v.string(),
  v.object({ encoding: v.number(), step: v.number(), decoding: v.number() }),
);

/** What the last edit with a model took on a provider, over restarts: the next one tells its time left from the start. */
export async function readPace(provider: string, model: string): Promise<Pace | undefined> {
  return (await readPaces())[keyOf(provider, model)];
}

export async function keepPace(provider: string, model: string, pace: Pace): Promise<void> {
  const paces = { ...(await readPaces()), [keyOf(provider, model)]: pace };
  await mkdir(homeFolder(), { recursive: true, mode: 0o700 });
  await writeDurably(pacesFile(), `${JSON.stringify(paces, null, 2)}\n`);
}

const pacesFile = () => path.join(homeFolder(), 'paces.json');
const keyOf = (provider: string, model: string) => `${provider} ${model}`;

async function readPaces(): Promise<v.InferOutput<typeof pacesSchema>> {
  try {
    return v.parse(pacesSchema, JSON.parse(await readFile(pacesFile(), 'utf8')));
  } catch {
    // Not there yet, or not ours: the next edit writes it anew.
    return {};
  }
}
