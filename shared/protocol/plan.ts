/** `POST /v1/plans`: previews what an edit would be, from sizes instead of pixels. */
import * as v from 'valibot';
import { boundsSchema } from '../bounds.ts';
import type { Immutable } from '../immutable.ts';
import { providers } from './provider.ts';
import { adapterSchema, editRequestSchema, maxReferences, tasks } from './request.ts';
import { reasonSchema } from './result.ts';

const pixels = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000));
const offset = v.pipe(v.number(), v.integer(), v.minValue(-100_000), v.maxValue(100_000));
const sizeSchema = v.strictObject({ width: pixels, height: pixels });
/** A non-empty area of the picture. */
const areaSchema = v.strictObject({ left: offset, top: offset, width: pixels, height: pixels });

export const planRequestSchema = v.strictObject({
  request: editRequestSchema,
  /** The layers that would be sent with it. */
  layers: v.strictObject({
    edit: v.optional(
      v.strictObject({
        width: pixels,
        height: pixels,
        /** Bounds of everything that is not opaque. */
        transparent: v.optional(areaSchema),
        /** The transparent part is a margin: the rest is a rectangle. */
        margin: v.optional(v.boolean()),
      }),
    ),
    /** Bounds of everything in the mask that is not black. */
    mask: v.optional(areaSchema),
    references: v.optional(v.pipe(v.array(sizeSchema), v.maxLength(maxReferences))),
  }),
});
export type PlanRequest = Immutable<v.InferOutput<typeof planRequestSchema>>;

export const planSchema = v.object({
  task: v.picklist(tasks),
  /** Why this task was chosen, if the request leaves it open. */
  taskReason: v.exactOptional(reasonSchema),
  /** In the form that fits into memory. */
  model: v.string(),
  adapters: v.array(adapterSchema),
  provider: v.picklist(providers),
  steps: v.number(),
  guidance: v.number(),
  variants: v.number(),
  /** The layer's bounds, in pixels of the picture. */
  bounds: boundsSchema,
  /** Size in pixels the model works at, without references. */
  workSize: v.object({ width: v.number(), height: v.number() }),
  /**
   * Pixels of the work area per pixel of the document, along a side: below 1 the layer is softer than the
   * document.
   */
  resolution: v.number(),
  /**
   * What keeps `resolution` below 1: the references beside the target, the device's memory, the request, or
   * the model.
   */
  limitedBy: v.nullable(v.picklist(['references', 'device', 'request', 'model'])),
  /** As planned; null if the device's memory is unknown or the model is small. */
  memory: v.nullable(
    v.object({
      /** Expected peak. */
      bytes: v.number(),
      /** Text encoders and transformer are loaded one after the other. */
      inTurn: v.boolean(),
    }),
  ),
  /** What has to be loaded first; null if the model is already loaded. */
  loading: v.nullable(
    v.object({
      /** Size of the weights. */
      bytes: v.number(),
      /** Taken from the last time this model was loaded; null if it never was. */
      seconds: v.nullable(v.number()),
    }),
  ),
  /** Until the last variant, including loading; null if no edit with this model has run on this machine. */
  seconds: v.nullable(v.number()),
  /** The notes that the edit will report. */
  notes: v.array(v.string()),
});
export type Plan = Immutable<v.InferOutput<typeof planSchema>>;
