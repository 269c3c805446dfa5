import * as v from 'valibot';

/** The body of `PUT /v1/queue/{id}`. */
export const moveSchema = v.object({
  /** How many edits run before this one. */
  position: v.pipe(v.number(), v.integer(), v.minValue(0)),
});
export type Move = v.InferOutput<typeof moveSchema>;
