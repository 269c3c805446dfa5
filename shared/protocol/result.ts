import * as v from 'valibot';
import { boundsSchema } from '../bounds.ts';
import type { Immutable } from '../immutable.ts';
import { providers } from './provider.ts';
import { adapterSchema, tasks } from './request.ts';

/**
 * The key of one of the panels' sentences, such as `words-remove` or `layers-mask`, and the words that
 * decided.
 */
export const reasonSchema = v.object({ key: v.string(), words: v.string() });

/**
 * One variant's result: the metadata entry `result` of its container, and the line that the command line
 * prints.
 */
export const editResultSchema = v.object({
  variant: v.number(),
  bounds: boundsSchema,
  seed: v.number(),
  steps: v.number(),
  /** Steps saved by the first-block cache, if the request asked for it. */
  stepsReused: v.exactOptional(v.number()),
  guidance: v.number(),
  task: v.picklist(tasks),
  /** Why this task was chosen, if the request left it open. */
  taskReason: v.exactOptional(reasonSchema),
  model: v.string(),
  adapters: v.array(adapterSchema),
  provider: v.picklist(providers),
  /** How often the edit was started, if a crash or a restart made it more than once. */
  runs: v.exactOptional(v.number()),
  /** Size in pixels the model worked at, without references. */
  workSize: v.object({ width: v.number(), height: v.number() }),
  /** Decisions made for the user, such as which frame of a file was used. */
  notes: v.exactOptional(v.array(v.string())),
  /** Seconds by stage. */
  timings: v.record(v.string(), v.number()),
});
export type EditResult = Immutable<v.InferOutput<typeof editResultSchema>>;
