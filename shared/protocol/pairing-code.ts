import * as v from 'valibot';

/** The body of `PUT /v1/pairings/{id}`. */
export const pairingCodeSchema = v.object({
  /** The digits shown by the companion. */
  code: v.pipe(v.string(), v.regex(/^\d{6}$/)),
});
export type PairingCode = v.InferOutput<typeof pairingCodeSchema>;
