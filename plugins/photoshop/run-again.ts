import { boundsOf } from '../../shared/bounds.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';
import { taskRules } from '../../shared/tasks.ts';
import { activeDocument } from './documents.ts';
import { inOneStep, modally } from './modal.ts';
import { action, imaging } from './modules.ts';
import { selectedLayer } from './read-layer.ts';
import { readRecipe } from './recipe.ts';
import { padMask, toSelectionImageData, using } from './samples.ts';

/**
 * Makes everything as it was before the selected layer was made: its mask is the selection, the layer itself is
 * hidden, and its request is returned, with every number that was chosen for the person.
 * @returns undefined for a layer that was not made here; then nothing was changed
 */
export function readRequest(): Promise<EditRequest | undefined> {
  return modally('Read the recipe', async (context) => {
    const document = activeDocument();
    const layer = selectedLayer(document);
    const recipe = layer && (await readRecipe(document, layer));
    if (!recipe) return undefined;
    await inOneStep(context, document, 'Prepare to run again', async () => {
      const canvas = boundsOf(document);
      const base = { documentID: document.id } as const;
      const read = await imaging.getLayerMask({ ...base, layerID: layer.id, kind: 'user' });
      const data = await using(read.imageData, () => padMask(read, canvas));
      const { width, height } = canvas;
      // The layer of the whole picture has a mask, too, though nothing was selected.
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

async function deselect(): Promise<void> {
  const selection = [{ _ref: 'channel', _property: 'selection' }];
  const none = { _enum: 'ordinal', _value: 'none' };
  const silent = { _options: { dialogOptions: 'silent' } };
  await action.batchPlay([{ _obj: 'set', _target: selection, to: none, ...silent }], {});
}
