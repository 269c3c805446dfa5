import * as v from 'valibot';
import type { Immutable } from '../../shared/immutable.ts';
import { readJSON } from '../../shared/parse.ts';

/** What a result was made of; it is kept with the result, so that the same can be run again. */
const recipeSchema = v.object({
  version: v.literal(1),
  sourceId: v.string(),
  /** With the seed, steps and guidance that were used; `parseEditRequest` reads it. */
  request: v.record(v.string(), v.unknown()),
  /** Ids of the nodes that were looked at, in order. */
  references: v.array(v.string()),
  /** References that came from files, which the document does not have; absent in recipes of before. */
  files: v.exactOptional(v.number()),
  /** Made inside a mask, and placed as a whole picture without it. */
  lostMask: v.exactOptional(v.boolean()),
});
export type Recipe = Immutable<v.InferOutput<typeof recipeSchema>>;

/** The recipe in a node's plugin data; undefined where there is none that this version can read. */
export function parseRecipe(text: string): Recipe | undefined {
  return readJSON(recipeSchema, text);
}
