/**
 * Which edit of the companion a layer came from, for layers whose XMP Photoshop did not write: request and result are
 * in the companion's history, and a line here leads from the layer to them.
 */
import * as v from 'valibot';
import type { History, Placement, Storage } from '../panel/host.ts';
import type { Layer, PhotoshopDocument } from './api.ts';
import type { Recipe } from './recipe.ts';

const number = v.number();
const noteSchema = v.object({
  editID: v.string(),
  variant: number,
  /** Layers keep their number in the file; documents get another whenever they are opened. */
  layerID: number,
  documentID: number,
  documentName: v.string(),
  /** In document pixels. */
  bounds: v.object({ left: number, top: number, width: number, height: number }),
});
type RecipeNote = v.InferOutput<typeof noteSchema>;

const key = 'recipes';
/** As many as the companion keeps edits. */
const most = 200;

export function createRecipeNotes(storage: Storage) {
  async function read(): Promise<readonly RecipeNote[]> {
    try {
      const notes = v.safeParse(v.array(noteSchema), JSON.parse((await storage.get(key)) || '[]'));
      return notes.success ? notes.output : [];
    } catch {
      return [];
    }
  }

  return {
    async add(
      document: PhotoshopDocument,
      layer: Layer,
      { editID, recipe, bounds }: Placement,
    ): Promise<void> {
      const note: RecipeNote = {
        editID,
        variant: recipe.variant,
        layerID: layer.id,
        documentID: document.id,
        documentName: document.name,
        bounds,
      };
      await storage.set(key, JSON.stringify([note, ...(await read())].slice(0, most)));
    },

    /** The recipe of a layer out of the companion's history; undefined if it is not there, or not any more. */
    async find(document: PhotoshopDocument, layer: Layer, history: History): Promise<Recipe | undefined> {
      const note = (await read()).find(
        ({ layerID, documentID, documentName }) =>
          layerID === layer.id && (documentID === document.id || documentName === document.name),
      );
      const edit = note && (await history(note.editID));
      const result = edit?.results?.find(({ variant }) => variant === note?.variant);
      if (!note || !edit || !result) return undefined;
      return { request: edit.request, result, bounds: note.bounds };
    },
  };
}

export type RecipeNotes = ReturnType<typeof createRecipeNotes>;
