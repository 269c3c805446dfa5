/**
 * Maps a layer to its edit in the companion, for layers whose XMP Photoshop didn't write: the request and the
 * result are in the companion's history, and a note here links the layer to them.
 */
import * as v from 'valibot';
import { boundsSchema } from '../../shared/bounds.ts';
import type { Immutable } from '../../shared/immutable.ts';
import { readJSON } from '../../shared/parse.ts';
import type { FindEdit, Placement, Storage } from '../panel/host.ts';
import type { Layer, PhotoshopDocument } from './api.ts';
import type { Recipe } from './recipe.ts';

const notesSchema = v.array(
  v.object({
    editID: v.string(),
    variant: v.number(),
    /** A layer's ID is saved in the file; a document gets a new ID each time it is opened. */
    layerID: v.number(),
    documentID: v.number(),
    documentName: v.string(),
    /** In document pixels. */
    bounds: boundsSchema,
  }),
);
type RecipeNotesList = Immutable<v.InferOutput<typeof notesSchema>>;

const key = 'recipes';
/** The number of edits the companion keeps. */
const most = 200;

export function createRecipeNotes(storage: Storage) {
  async function read(): Promise<RecipeNotesList> {
    return readJSON(notesSchema, (await storage.get(key)) ?? '') ?? [];
  }

  return {
    async add(
      document: PhotoshopDocument,
      layer: Layer,
      { editID, recipe, bounds }: Placement,
    ): Promise<void> {
      const note = {
        editID,
        variant: recipe.variant,
        layerID: layer.id,
        documentID: document.id,
        documentName: document.name,
        bounds,
      };
      await storage.set(key, JSON.stringify([note, ...(await read())].slice(0, most)));
    },

    /** A layer's recipe from the companion's history; undefined if it isn't there, or no longer is. */
    async find(document: PhotoshopDocument, layer: Layer, findEdit: FindEdit): Promise<Recipe | undefined> {
      const note = (await read()).find(
        ({ layerID, documentID, documentName }) =>
          layerID === layer.id && (documentID === document.id || documentName === document.name),
      );
      const edit = note && (await findEdit(note.editID));
      if (!note || edit?.state !== 'done') return undefined;
      const result = edit.results.find(({ variant }) => variant === note.variant);
      if (!result) return undefined;
      return { request: edit.request, result, bounds: note.bounds };
    },
  };
}

export type RecipeNotes = ReturnType<typeof createRecipeNotes>;
