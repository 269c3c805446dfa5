import { boundsOf } from '../../shared/bounds.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';
import { taskRules } from '../../shared/tasks.ts';
import type { FindEdit } from '../panel/host.ts';
import { deselect } from './descriptors.ts';
import { activeDocument } from './documents.ts';
import { inOneStep, modally } from './modal.ts';
import { imaging } from './modules.ts';
import { readRecipe } from './recipe.ts';
import type { RecipeNotes } from './recipe-notes.ts';
import { padMask, toSelectionImageData, using } from './samples.ts';

/**
 * Restores the state before the selected layer was made: selects its mask, hides the layer, and returns its
 * request, including every number that was chosen automatically.
 * @returns undefined for a layer this plugin didn't make; then nothing is changed
 */
export async function readRequest(notes: RecipeNotes, findEdit: FindEdit): Promise<EditRequest | undefined> {
  const document = activeDocument();
  const [layer] = document.activeLayers;
  if (!layer) return undefined;
  // Ask the companion outside the modal scope, which would block Photoshop.
  const recipe =
    (await modally('Read the recipe', () => readRecipe(document, layer))) ??
    (await notes.find(document, layer, findEdit));
  if (!recipe) return undefined;
  return modally('Prepare to run again', async (context) => {
    await inOneStep(context, document, 'Prepare to run again', async () => {
      const canvas = boundsOf(document);
      const base = { documentID: document.id } as const;
      const read = await imaging.getLayerMask({ ...base, layerID: layer.id, kind: 'user' });
      const data = await using(read.imageData, () => padMask(read, canvas));
      const { width, height } = canvas;
      // A layer of the whole picture has a mask too, although nothing was selected.
      const isWhole = taskRules[recipe.result.task].mask !== 'needed' && data.every((value) => value === 255);
      if (isWhole) await deselect();
      else
        await using(await toSelectionImageData({ width, height, data }), (imageData) =>
          imaging.putSelection({ ...base, imageData, replace: true, targetBounds: { left: 0, top: 0 } }),
        );
      layer.visible = false;
    });
    const { seed, steps, guidance } = recipe.result;
    return { ...recipe.request, seed, steps, guidance, variants: 1 };
  });
}
