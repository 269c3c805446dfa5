import * as v from 'valibot';
import { boundsSchema } from '../bounds.ts';
import type { Immutable } from '../immutable.ts';
import { providers } from './provider.ts';
import { adapterSchema, tasks } from './request.ts';

/** One variant's layer: the metadata entry `result` of its container, and the line that the command prints. */
export const editResultSchema = v.object({
  variant: v.number(),
  bounds: boundsSchema,
  seed: v.number(),
  steps: v.number(),
  /** Steps that the first-block cache spared, where the request asked for it. */
  stepsReused: v.exactOptional(v.number()),
  guidance: v.number(),
  task: v.picklist(tasks),
  model: v.string(),
  adapters: v.array(adapterSchema),
  provider: v.picklist(providers),
  /** How often the edit was started, where a crash or a restart made it more than once. */
  runs: v.exactOptional(v.number()),
  /** Size in pixels at which the model worked, references not counted. */
  workSize: v.object({ width: v.number(), height: v.number() }),
  /** What was decided for the person, such as which frame of a file was used. */
  notes: v.exactOptional(v.array(v.string())),
  /** Seconds by stage. */
  timings: v.record(v.string(), v.number()),
});
export type EditResult = Immutable<v.InferOutput<typeof editResultSchema>>;
