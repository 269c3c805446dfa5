/** `POST /v1/plans`: what an edit would be, asked with sizes instead of pixels. */
import * as v from 'valibot';
import { boundsSchema } from '../bounds.ts';
import type { Immutable } from '../immutable.ts';
import { providers } from './provider.ts';
import { adapterSchema, editRequestSchema, maxReferences, tasks } from './request.ts';
import { reasonSchema } from './result.ts';

const pixels = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000));
const offset = v.pipe(v.number(), v.integer(), v.minValue(-100_000), v.maxValue(100_000));
const sizeSchema = v.strictObject({ width: pixels, height: pixels });
/** Where something lies in the picture; it has an area. */
const areaSchema = v.strictObject({ left: offset, top: offset, width: pixels, height: pixels });

export const planRequestSchema = v.strictObject({
  request: editRequestSchema,
  /** What would be sent with it. */
  layers: v.strictObject({
    edit: v.optional(
      v.strictObject({
        width: pixels,
        height: pixels,
        /** Around all that is not opaque. */
        transparent: v.optional(areaSchema),
        /** What is transparent is a margin: the rest is a rectangle. */
        margin: v.optional(v.boolean()),
      }),
    ),
    /** Around all of the mask that is not black. */
    mask: v.optional(areaSchema),
    references: v.optional(v.pipe(v.array(sizeSchema), v.maxLength(maxReferences))),
  }),
});
export type PlanRequest = Immutable<v.InferOutput<typeof planRequestSchema>>;

export const planSchema = v.object({
  task: v.picklist(tasks),
  /** Why this task, where the request leaves it open. */
  taskReason: v.exactOptional(reasonSchema),
  /** In the form that fits into the memory. */
  model: v.string(),
  adapters: v.array(adapterSchema),
  provider: v.picklist(providers),
  steps: v.number(),
  guidance: v.number(),
  variants: v.number(),
  /** Of the layer, in pixels of the picture. */
  bounds: boundsSchema,
  /** Size in pixels at which the model works, references not counted. */
  workSize: v.object({ width: v.number(), height: v.number() }),
  /** Pixels of the work area for each pixel of the document, along a side: below 1 the layer is softer than the document. */
  resolution: v.number(),
  /** What keeps `resolution` below 1: the references beside the target, the device's memory, the request, or the model. */
  limitedBy: v.nullable(v.picklist(['references', 'device', 'request', 'model'])),
  /** As it was planned; null where the device's memory is unknown or the model is small. */
  memory: v.nullable(
    v.object({
      /** The most that is expected to be taken at a time. */
      bytes: v.number(),
      /** Text encoders and transformer are loaded one after the other. */
      inTurn: v.boolean(),
    }),
  ),
  /** What has to be loaded first; null where the model is there. */
  loading: v.nullable(
    v.object({
      /** Of weights. */
      bytes: v.number(),
      /** As the last loading of this model took; null where there was none. */
      seconds: v.nullable(v.number()),
    }),
  ),
  /** Until the last variant, with the loading; null where no edit with this model has run on this machine. */
  seconds: v.nullable(v.number()),
  /** What the edit will report as notes. */
  notes: v.array(v.string()),
});
export type Plan = Immutable<v.InferOutput<typeof planSchema>>;
