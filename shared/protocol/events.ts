import * as v from 'valibot';
import { boundsSchema } from '../bounds.ts';
import type { Immutable } from '../immutable.ts';
import { problemSchema } from './problem.ts';
import { editResultSchema } from './result.ts';

/** What the engine does, in this order. */
export const stages = ['loading', 'encoding', 'denoising', 'decoding', 'compositing'] as const;
export type Stage = (typeof stages)[number];

/** What happens to an edit, as the engine reports it. */
export const editEventBodySchema = v.variant('type', [
  v.object({ type: v.literal('queued'), position: v.number() }),
  v.object({
    type: v.literal('stage'),
    stage: v.picklist(stages),
    variant: v.number(),
    variants: v.number(),
    /** As in `step`, where an earlier edit on this machine allows an estimate. */
    secondsLeft: v.exactOptional(v.number()),
  }),
  /** Something to know before the result, such as "your reference lowers this edit to 720x720". */
  v.object({ type: v.literal('note'), text: v.string() }),
  v.object({
    type: v.literal('step'),
    variant: v.number(),
    variants: v.number(),
    /** Steps done, 1..steps. */
    step: v.number(),
    steps: v.number(),
    /** Estimate for the rest of the edit. */
    secondsLeft: v.number(),
    /** JPEG of the layer as it looks now, base64, if the request asked for previews. */
    preview: v.exactOptional(v.string()),
    /** Where the preview lies in the edit image. */
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
