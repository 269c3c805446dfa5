import * as v from 'valibot';
import { boundsOf, boundsSchema } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { Immutable } from '../../../shared/immutable.ts';
import { readJSON } from '../../../shared/parse.ts';
import type { Placement } from '../../panel/host.ts';
import { gridOf } from '../grid.ts';

const number = v.number();
const row = v.tuple([number, number, number]);

/** What a placement needs to know about its capture; it travels with the edit as text. */
const nodeTargetSchema = v.object({
  source: v.object({
    id: v.string(),
    bounds: boundsSchema,
    transform: v.tuple([row, row]),
    width: number,
    height: number,
    radii: v.exactOptional(v.tuple([number, number, number, number])),
  }),
  /** In pixels of the source's picture. */
  width: number,
  height: number,
  grid: v.object({ left: number, top: number, x: number, y: number }),
  hasMask: v.boolean(),
  hideId: v.exactOptional(v.string()),
  references: v.array(v.string()),
});
/** The first version's format; that version exported every node. */
const firstVersionSchema = v.omit(nodeTargetSchema, ['grid']);
export type NodeTarget = Immutable<v.InferOutput<typeof nodeTargetSchema>>;

/** @throws CodedError `document-gone` if a placement names no source, or names it unreadably */
export function readTarget({ target = '' }: Placement): NodeTarget {
  const known = readJSON(nodeTargetSchema, target);
  if (known) return known;
  const first = readJSON(firstVersionSchema, target);
  if (first) {
    const all = boundsOf(first);
    return { ...first, grid: gridOf(all, all, first.source.bounds) };
  }
  throw new CodedError('document-gone', {
    detail: 'It is not known which layer this result was made of.',
    remedy: 'Select the layer and run it again.',
  });
}
