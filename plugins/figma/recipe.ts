import type { EditRequest } from '../../shared/protocol/request.ts';

/** What a result was made of; it is kept with the result, so that the same can be run again. */
export interface Recipe {
  readonly version: 1;
  readonly sourceId: string;
  /** With the seed, steps and guidance that were used. */
  readonly request: EditRequest;
  /** Ids of the nodes that were looked at, in order. */
  readonly references: readonly string[];
  /** References that came from files, which the document does not have; absent in recipes of before. */
  readonly files?: number;
  /** Made inside a mask, and placed as a whole picture without it. */
  readonly lostMask?: boolean;
}

/** The recipe in a node's plugin data; undefined where there is none that this version can read. */
export function parseRecipe(text: string): Recipe | undefined {
  let value: Partial<Recipe> | null;
  try {
    value = JSON.parse(text || 'null') as Partial<Recipe> | null;
  } catch {
    return undefined;
  }
  const isRecipe =
    value?.version === 1 &&
    typeof value.sourceId === 'string' &&
    typeof value.request === 'object' &&
    Array.isArray(value.references) &&
    value.references.every((id) => typeof id === 'string');
  return isRecipe ? (value as Recipe) : undefined;
}
