import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { writeDurably } from '../disk/durable.ts';
import { homeFolder } from '../disk/paths.ts';
import type { StageTimings } from '../pipeline/estimate.ts';

const timingsSchema = v.record(
  v.string(),
  v.object({ encoding: v.number(), step: v.number(), decoding: v.number(), opening: v.optional(v.number()) }),
);

/**
 * The timings of a model's last edit on a provider, kept across restarts, so that the next edit can estimate
 * its time left from the start.
 */
export async function readTimings(provider: string, model: string): Promise<StageTimings | undefined> {
  return (await readAllTimings())[keyOf(provider, model)];
}

export async function saveTimings(provider: string, model: string, timing: StageTimings): Promise<void> {
  const timings = { ...(await readAllTimings()), [keyOf(provider, model)]: timing };
  await mkdir(homeFolder(), { recursive: true, mode: 0o700 });
  await writeDurably(timingsFile(), `${JSON.stringify(timings, null, 2)}\n`);
}

const timingsFile = () => path.join(homeFolder(), 'paces.json');
const keyOf = (provider: string, model: string) => `${provider} ${model}`;

async function readAllTimings(): Promise<v.InferOutput<typeof timingsSchema>> {
  try {
    return v.parse(timingsSchema, JSON.parse(await readFile(timingsFile(), 'utf8')));
  } catch {
    // Missing or unreadable: the next edit rewrites it.
    return {};
  }
}
