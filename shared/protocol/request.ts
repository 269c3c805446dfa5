import * as v from 'valibot';
import { CodedError } from '../errors.ts';
import type { Immutable } from '../immutable.ts';

export const tasks = [
  'text-to-image',
  'reference-generation',
  'local-editing',
  'inpaint',
  'outpaint',
  'local-reference-editing',
  'general-editing',
  'recolor',
  'super-resolution',
  'control',
] as const;
export type Task = (typeof tasks)[number];

export const controls = ['canny', 'contour', 'depth', 'mosaic'] as const;
export type Control = (typeof controls)[number];

export const maxReferences = 9;
export const maxVariants = 8;

const sizeInPixels = v.pipe(v.number(), v.integer(), v.minValue(16), v.maxValue(16384));

/** An adapter by its name beside the model; scale 1 applies it at the strength it was trained for. */
const adapterEntries = { name: v.string(), scale: v.pipe(v.number(), v.minValue(-4), v.maxValue(4)) };
export const adapterSchema = v.object(adapterEntries);

const window = {
  /** Context around the mask, as a share of the mask's longer side. */
  context: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(8))),
  maxSequence: v.optional(v.pipe(v.number(), v.integer(), v.minValue(16), v.maxValue(65536))),
};

const entries = {
  version: v.literal(1),
  task: v.optional(v.picklist(tasks)),
  control: v.optional(v.picklist(controls)),
  instruction: v.pipe(v.string(), v.maxLength(4000)),
  /**
   * Edits this layer of a PSD instead of the flattened picture: its groups' names and its own, joined by `/`.
   */
  layer: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(2000))),
  width: v.optional(sizeInPixels),
  height: v.optional(sizeInPixels),
  seed: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffffffff))),
  steps: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(200))),
  guidance: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(200))),
  /**
   * How much the transformer's first block may change between steps for all others to be taken from a cache.
   */
  firstBlockCache: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  repaintingScale: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  keepPixels: v.optional(v.boolean()),
  model: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]*$/))),
  adapters: v.optional(v.pipe(v.array(v.strictObject(adapterEntries)), v.maxLength(8))),
  variants: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(maxVariants))),
  window: v.optional(v.strictObject(window)),
  preview: v.optional(v.boolean()),
};

/**
 * The JSON text in `__metadata__.request` of an edit request; see docs/protocol.md. An unknown field is an
 * error: otherwise a misspelled one would be silently ignored.
 */
export const editRequestSchema = v.pipe(
  v.strictObject(entries),
  v.check(
    (request) => (request.task === 'control') === (request.control !== undefined),
    'control: must be given with the task "control", and with no other task',
  ),
);

/** A request as the companion returns it: a newer companion may know more fields. */
export const keptRequestSchema = v.object({
  ...entries,
  adapters: v.optional(v.array(adapterSchema)),
  window: v.optional(v.object(window)),
});

export type EditRequest = Immutable<v.InferOutput<typeof editRequestSchema>>;

/**
 * Reads the request of an edit.
 * @throws CodedError `request-invalid`, naming the field and the offending value
 */
export function parseEditRequest(json: string): EditRequest {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new CodedError('request-invalid', {
      detail: `The request is not JSON: ${(cause as Error).message}.`,
      remedy: 'Put the JSON text of the request into the metadata entry "request".',
      cause,
    });
  }
  const result = v.safeParse(editRequestSchema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue);
  throw new CodedError('request-invalid', {
    detail: path
      ? `The request's "${path}" is wrong: ${issue.message}.`
      : `The request is wrong: ${issue.message}.`,
    remedy: 'Correct that field and send the request again under a new id.',
  });
}
