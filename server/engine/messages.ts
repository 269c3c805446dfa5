/** What the companion and its engine process send each other over IPC (structured clone). */
import * as v from 'valibot';
import type { Immutable } from '../../shared/immutable.ts';
import { editEventBodySchema } from '../../shared/protocol/events.ts';
import { problemSchema } from '../../shared/protocol/problem.ts';
import { providers } from '../../shared/protocol/provider.ts';
import { editResultSchema } from '../../shared/protocol/result.ts';
import { computeDTypes } from '../graph/precision.ts';

const provider = v.picklist(providers);

export const toEngineSchema = v.variant('type', [
  /**
   * Runs the request in `folder` and writes the results there. `runs` counts the attempts, including this
   * one.
   */
  v.object({ type: v.literal('run'), id: v.string(), folder: v.string(), runs: v.number() }),
  v.object({ type: v.literal('cancel') }),
  /** Asks which device edits will run on, before there has been one. */
  v.object({ type: v.literal('survey') }),
  /** Asks whether the engine still responds. */
  v.object({ type: v.literal('ping') }),
]);
export type ToEngine = Immutable<v.InferOutput<typeof toEngineSchema>>;

export const fromEngineSchema = v.variant('type', [
  /**
   * The process listens and has received everything so far: sent after its start, and for each `run` and
   * `ping`.
   */
  v.object({ type: v.literal('alive') }),
  /**
   * A provider is being probed with a tiny graph. If nothing follows, its library hangs or has killed the
   * process.
   */
  v.object({ type: v.literal('trying'), provider }),
  v.object({ type: v.literal('provider-failed'), provider, reason: v.string() }),
  v.object({ type: v.literal('provider-works'), provider }),
  /** A model is loaded; `wanted` is the one that the request named, or null. */
  v.object({
    type: v.literal('loaded'),
    provider,
    dtype: v.picklist(computeDTypes),
    model: v.string(),
    wanted: v.nullable(v.string()),
    /** As planned for the device. */
    memory: v.exactOptional(
      v.object({ bytes: v.number(), inTurn: v.boolean(), fittingSequence: v.number() }),
    ),
  }),
  /** The answer to `survey`. */
  v.object({ type: v.literal('surveyed'), provider, dtype: v.picklist(computeDTypes) }),
  v.object({ type: v.literal('event'), event: editEventBodySchema }),
  /** A variant is on disk. */
  v.object({ type: v.literal('result'), result: editResultSchema }),
  v.object({ type: v.literal('finished') }),
  v.object({ type: v.literal('failed'), problem: problemSchema }),
]);
export type FromEngine = Immutable<v.InferOutput<typeof fromEngineSchema>>;

/** How to choose a provider; passed to the engine process as JSON on its command line. */
export const engineSettingsSchema = v.object({
  /** The one the user chose; no other is tried. */
  wanted: v.exactOptional(provider),
  /** Those that failed before in this companion, so they are not tried at each start. */
  unusable: v.array(provider),
});
export type EngineSettings = Immutable<v.InferOutput<typeof engineSettingsSchema>>;
