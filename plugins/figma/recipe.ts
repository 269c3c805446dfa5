import * as v from 'valibot';
import type { Immutable } from '../../shared/immutable.ts';
import { readJSON } from '../../shared/parse.ts';

/** What a result was made from, stored with it so that the same edit can be run again. */
const recipeSchema = v.object({
  version: v.literal(1),
  sourceId: v.string(),
  /** Includes the seed, steps and guidance that were used; read by `parseEditRequest`. */
  request: v.record(v.string(), v.unknown()),
  /** IDs of the reference nodes, in order. */
  references: v.array(v.string()),
  /** How many references came from files, which the document doesn't hold; absent in older recipes. */
  files: v.exactOptional(v.number()),
  /** Made inside a mask, but placed as a whole picture without it. */
  lostMask: v.exactOptional(v.boolean()),
});
export type Recipe = Immutable<v.InferOutput<typeof recipeSchema>>;

/** The recipe in a node's plugin data; undefined if there is none that this version can read. */
export function parseRecipe(text: string): Recipe | undefined {
  return readJSON(recipeSchema, text);
}
