import * as v from 'valibot';
import { type ErrorCode, errorStatus } from '../errors.ts';
import type { Immutable } from '../immutable.ts';

/** Every code, in the order of `errorStatus`. */
export const errorCodes = Object.keys(errorStatus) as ErrorCode[];

/**
 * RFC 9457 problem details, used over HTTP and in the event of a failed edit. An unknown code from a newer
 * companion becomes `internal`; its texts stay.
 */
export const problemSchema = v.object({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  code: v.fallback(v.picklist(errorCodes), 'internal'),
  detail: v.string(),
  remedy: v.string(),
});
export type Problem = Immutable<v.InferOutput<typeof problemSchema>>;
