import * as v from 'valibot';
import { boundsSchema } from '../bounds.ts';
import type { Immutable } from '../immutable.ts';
import { problemSchema } from './problem.ts';
import { editResultSchema } from './result.ts';

/** The stages of an edit, in order. */
export const stages = ['loading', 'encoding', 'denoising', 'decoding', 'compositing'] as const;
export type Stage = (typeof stages)[number];

/** An event of an edit, as the engine reports it. */
export const editEventBodySchema = v.variant('type', [
  v.object({ type: v.literal('queued'), position: v.number() }),
  v.object({
    type: v.literal('stage'),
    stage: v.picklist(stages),
    variant: v.number(),
    variants: v.number(),
    /** As in `step`, if there is an earlier edit on this machine to estimate from. */
    secondsLeft: v.exactOptional(v.number()),
  }),
  /**
   * Something the user should know before the result, such as "your reference lowers this edit to 720x720".
   */
  v.object({ type: v.literal('note'), text: v.string() }),
  v.object({
    type: v.literal('step'),
    variant: v.number(),
    variants: v.number(),
    /** Steps done, 1..steps. */
    step: v.number(),
    steps: v.number(),
    /** Estimated time for the rest of the edit. */
    secondsLeft: v.number(),
    /** The layer so far as a base64 JPEG, if the request asked for previews. */
    preview: v.exactOptional(v.string()),
    /** Position of the preview in the edit image. */
    previewBounds: v.exactOptional(boundsSchema),
  }),
  v.object({ type: v.literal('done'), results: v.array(editResultSchema) }),
  v.object({ type: v.literal('failed'), problem: problemSchema }),
  v.object({ type: v.literal('cancelled') }),
]);
export type EditEventBody = Immutable<v.InferOutput<typeof editEventBodySchema>>;

/** An event with its number and time. `seq` counts from 1 within the edit; `time` is ISO 8601. */
export const editEventSchema = v.intersect([
  v.object({ seq: v.number(), time: v.string() }),
  editEventBodySchema,
]);
export type EditEvent = Immutable<v.InferOutput<typeof editEventSchema>>;
