/** The companion's responses, route by route. */
import * as v from 'valibot';
import type { Immutable } from '../immutable.ts';
import { editEventSchema } from './events.ts';
import { problemSchema } from './problem.ts';
import { providers } from './provider.ts';
import { keptRequestSchema } from './request.ts';
import { editResultSchema } from './result.ts';

export const engineStatusSchema = v.object({
  state: v.picklist(['stopped', 'starting', 'running', 'idle']),
  /** The loaded model's id; null while none is loaded. */
  provider: v.nullable(v.picklist(providers)),
  model: v.nullable(v.string()),
});
export type EngineStatus = Immutable<v.InferOutput<typeof engineStatusSchema>>;

/**
 * `GET /v1/health`. Clients use it to recognize a companion and its version. Another version may describe its
 * engine differently, which then counts as stopped.
 */
export const healthSchema = v.object({
  name: v.string(),
  version: v.string(),
  /** A client supports exactly one protocol number. */
  protocol: v.number(),
  engine: v.fallback(engineStatusSchema, { state: 'stopped', provider: null, model: null }),
  /** Proves that it knows the client's token, by `proofOf`; absent if it doesn't, or wasn't asked. */
  proof: v.exactOptional(v.string()),
});
export type Health = Immutable<v.InferOutput<typeof healthSchema>>;

/** A model that can run. */
export const modelSchema = v.object({
  id: v.string(),
  title: v.string(),
  /** Longest joined sequence the model was made for, in tokens of 16x16 pixels. */
  maxSequence: v.number(),
  /** Defaults for what a request leaves open; context is a share of the mask's longer side. */
  defaultContext: v.number(),
  defaultSteps: v.number(),
  defaultGuidance: v.number(),
  /**
   * Whether the model knows names such as `{image1}`; if not, an instruction describes what should be seen.
   */
  namesReferences: v.boolean(),
  /** Names of the model's adapters. */
  adapters: v.array(v.string()),
});
export type ModelInfo = Immutable<v.InferOutput<typeof modelSchema>>;

/** `GET /v1/models` */
export const modelsSchema = v.object({ models: v.array(modelSchema) });
export type Models = Immutable<v.InferOutput<typeof modelsSchema>>;

export const editStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;
export type EditState = (typeof editStates)[number];

/** The state of an edit; each state has its own fields. */
export const editLifeSchema = v.variant('state', [
  v.object({ state: v.literal('queued') }),
  v.object({ state: v.literal('running') }),
  v.object({ state: v.literal('done'), results: v.array(editResultSchema) }),
  v.object({ state: v.literal('failed'), problem: problemSchema }),
  v.object({ state: v.literal('cancelled') }),
]);
export type EditLife = Immutable<v.InferOutput<typeof editLifeSchema>>;

/** `PUT /v1/edits/{id}`: the same whenever the same edit is sent. */
export const acceptedSchema = v.object({
  id: v.string(),
  state: v.literal('queued'),
  /** Number of edits ahead of it when it arrived. */
  position: v.number(),
});
export type Accepted = Immutable<v.InferOutput<typeof acceptedSchema>>;

/** `GET /v1/edits/{id}` */
export const pollSchema = v.object({
  id: v.string(),
  state: v.picklist(editStates),
  events: v.array(editEventSchema),
  /** The `after` of the next poll. */
  next: v.number(),
});
export type Poll = Immutable<v.InferOutput<typeof pollSchema>>;

/** `DELETE /v1/edits/{id}` */
export const cancelSchema = v.object({ id: v.string(), state: v.picklist(editStates) });
export type Cancelled = Immutable<v.InferOutput<typeof cancelSchema>>;

/** An edit in the history. */
export const editSummarySchema = v.intersect([
  v.object({
    id: v.string(),
    created: v.string(),
    request: keptRequestSchema,
    /** Kept regardless of the budget. */
    pinned: v.boolean(),
  }),
  editLifeSchema,
]);
export type EditSummary = Immutable<v.InferOutput<typeof editSummarySchema>>;

/** `GET /v1/edits`: a page of the history, newest edit first. */
export const historySchema = v.object({
  edits: v.array(editSummarySchema),
  /** The `before` of the next page; null on the last one. */
  next: v.nullable(v.string()),
});
export type History = Immutable<v.InferOutput<typeof historySchema>>;

/** `GET /v1/queue`: running and waiting edits, in order. */
export const queueSchema = v.object({ edits: v.array(editSummarySchema) });
export type Queue = Immutable<v.InferOutput<typeof queueSchema>>;

/** `DELETE /v1/queue` */
export const cancelledAllSchema = v.object({
  /** Ids of edits. */
  cancelled: v.array(v.string()),
});
export type CancelledAll = Immutable<v.InferOutput<typeof cancelledAllSchema>>;

/** `GET /v1/pairings` */
export const openPairingsSchema = v.object({
  pairings: v.array(
    v.object({
      /** Who is asking, such as "Figma". */
      asker: v.string(),
      code: v.string(),
      /** ISO 8601. */
      asked: v.string(),
      /** Seconds for which the code is still valid. */
      seconds: v.number(),
    }),
  ),
});
export type OpenPairings = Immutable<v.InferOutput<typeof openPairingsSchema>>;

/** `POST /v1/pairings`: the companion now shows six digits for this many seconds. */
export const pairingSchema = v.object({ id: v.string(), seconds: v.number() });
export type PairingStarted = Immutable<v.InferOutput<typeof pairingSchema>>;

/** `PUT /v1/pairings/{id}` */
export const pairedSchema = v.object({ token: v.string() });
export type Paired = Immutable<v.InferOutput<typeof pairedSchema>>;
