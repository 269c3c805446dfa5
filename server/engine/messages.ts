/** What the companion and its engine process send each other over IPC (structured clone). */
import * as v from 'valibot';
import type { Immutable } from '../../shared/immutable.ts';
import { editEventBodySchema } from '../../shared/protocol/events.ts';
import { problemSchema } from '../../shared/protocol/problem.ts';
import { providers } from '../../shared/protocol/provider.ts';
import { editResultSchema } from '../../shared/protocol/result.ts';

const provider = v.picklist(providers);

export const toEngineSchema = v.variant('type', [
  /** Runs the request in `folder`; its results are written there. `runs` counts how often, with this time. */
  v.object({ type: v.literal('run'), id: v.string(), folder: v.string(), runs: v.number() }),
  v.object({ type: v.literal('cancel') }),
  /** Asks for a sign of life. */
  v.object({ type: v.literal('ping') }),
]);
export type ToEngine = Immutable<v.InferOutput<typeof toEngineSchema>>;

export const fromEngineSchema = v.variant('type', [
  /** The process listens, and has what it was sent before: after its start, for each `run` and for each `ping`. */
  v.object({ type: v.literal('alive') }),
  /** A provider is tried with a tiny graph. If nothing follows, its library hangs or has killed the process. */
  v.object({ type: v.literal('trying'), provider }),
  v.object({ type: v.literal('provider-failed'), provider, reason: v.string() }),
  v.object({ type: v.literal('provider-works'), provider }),
  v.object({ type: v.literal('loaded'), provider, model: v.string() }),
  v.object({ type: v.literal('event'), event: editEventBodySchema }),
  /** A variant lies on disk. */
  v.object({ type: v.literal('result'), result: editResultSchema }),
  v.object({ type: v.literal('finished') }),
  v.object({ type: v.literal('failed'), problem: problemSchema }),
]);
export type FromEngine = Immutable<v.InferOutput<typeof fromEngineSchema>>;

/** How a provider is chosen: the engine process gets it as JSON on its command line. */
export const engineSettingsSchema = v.object({
  /** The one that the person asked for; nothing else will do then. */
  wanted: v.exactOptional(provider),
  /** Those that failed before in this companion, so that they are not tried at each start. */
  unusable: v.array(provider),
});
export type EngineSettings = Immutable<v.InferOutput<typeof engineSettingsSchema>>;
