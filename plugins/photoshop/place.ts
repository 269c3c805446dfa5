import type { Placement, PlaceOptions } from '../panel/host.ts';
import { newUUID } from '../panel/uuid.ts';
import type { ExecutionContext, Layer, PhotoshopDocument } from './api.ts';
import { isMasked, makeLayerMask, selectLayers } from './descriptors.ts';
import { type DocumentTarget, depthOf, documentOf, findLayer, modeOf, readTarget } from './documents.ts';
import { goOn, inOneStep, modally } from './modal.ts';
import { constants, imaging } from './modules.ts';
import { writeRecipe } from './recipe.ts';
import type { RecipeNotes } from './recipe-notes.ts';
import type { Results } from './results.ts';
import { toImageData, toMaskImageData, using } from './samples.ts';

export interface PlaceParts extends PlaceOptions {
  readonly results: Results;
  readonly notes: RecipeNotes;
}

/**
 * Places a result as a new pixel layer with a layer mask, or several results in a group, above the layer it
 * was made from; one undo removes all of it. The selection and other layers are left alone, except that
 * earlier alternatives to this result are hidden.
 * @throws CodedError `document-gone`, `document-refused`, and what `modally` throws; then nothing was changed
 */
export async function place(
  variants: readonly Placement[],
  chosen: number,
  { results, notes, report, isKept }: PlaceParts,
): Promise<void> {
  const [first] = variants;
  if (!first) throw new TypeError('a placement without a variant');
  const target = readTarget(first.target);
  const captureID = target.captureID ?? newUUID();
  const name = `ACE++: ${first.name}`;
  const unwritten = new Map<Layer, Placement>();
  await modally(name, async (context) => {
    const document = documentOf(target);
    modeOf(document);
    const layers: Layer[] = [];
    let group: Layer | undefined;
    await inOneStep(context, document, name, async () => {
      const above = results.highest(document, captureID) ?? (await placeOf(document, target));
      results.hideAlternatives(document, captureID);
      // Last to first, so that the first ends up on top.
      for (const [i, variant] of [...variants.entries()].reverse()) {
        goOn(context, name);
        const layer = await placeLayer(context, document, variant, layers[0] ?? above);
        // A failure to write the recipe must not lose the picture.
        await writeRecipe(document, layer, variant).catch(() => unwritten.set(layer, variant));
        if (variants.length > 1) layer.visible = i === chosen;
        layers.unshift(layer);
      }
      if (layers.length > 1)
        group = await document.createLayerGroup({ name: first.name, fromLayers: layers });
      goOn(context, name);
    });
    const added = layers.map((layer, i) => ({ layer, seed: variants[i]!.recipe.seed }));
    const parts = { captureID, madeFrom: target.layerID, name: first.name };
    if (!isKept) await results.add(document, added, parts, group, chosen);
    for (const [layer, variant] of unwritten) await notes.add(document, layer, variant);
  });
  if (unwritten.size > 0) {
    report(
      'Photoshop could not write the recipe into the layer. The companion keeps it: “Use the selected layer’s recipe” still works on this computer.',
    );
  }
}

/**
 * The layer to insert a new one above; undefined for the very top. Never inside a group that would lock,
 * mask, clip or hide the result, nor between a layer and those clipped to it, which would then clip to the
 * new one.
 */
async function placeOf(document: PhotoshopDocument, { layerID }: DocumentTarget): Promise<Layer | undefined> {
  let place = layerID === undefined ? undefined : findLayer(document.layers, layerID);
  for (let group = place?.parent; group; group = group.parent) {
    const changesResult =
      group.allLocked ||
      !group.visible ||
      group.isClippingMask ||
      isClippedTo(document, group) ||
      (await isMasked(document, group));
    if (changesResult) place = group;
  }
  while (place && isClippedTo(document, place)) place = layerAbove(document, place);
  return place;
}

function layerAbove(document: PhotoshopDocument, { id, parent }: Layer): Layer | undefined {
  const siblings = parent?.layers ?? document.layers;
  return siblings[siblings.findIndex((layer) => layer.id === id) - 1];
}

/** Whether the layer above a layer is clipped. */
function isClippedTo(document: PhotoshopDocument, layer: Layer): boolean {
  return layerAbove(document, layer)?.isClippingMask === true;
}

async function placeLayer(
  context: ExecutionContext,
  document: PhotoshopDocument,
  variant: Placement,
  above: Layer | undefined,
): Promise<Layer> {
  const { name, layer: pixels, bounds } = variant;
  const depth = depthOf(document);
  const at = { left: bounds.left, top: bounds.top };
  // Photoshop creates a layer next to the selected ones, which may be in a locked group or a clipping group;
  // with none selected, it creates it at the top.
  await selectLayers([]);
  const layer = await document.createPixelLayer({ name });
  const top = above ?? document.layers[0];
  if (top && top.id !== layer.id) await layer.move(top, constants.ElementPlacement.PLACEBEFORE);
  if (layer.isClippingMask) layer.isClippingMask = false;
  const base = { documentID: document.id, layerID: layer.id, replace: true } as const;
  await using(await toImageData(pixels, depth), (imageData) =>
    imaging.putPixels({ ...base, imageData, targetBounds: at }),
  );
  goOn(context, name);
  await using(await toMaskImageData(pixels, at, document, depth), async (imageData) => {
    const options = { ...base, kind: 'user', imageData, targetBounds: { left: 0, top: 0 } } as const;
    try {
      await imaging.putLayerMask(options);
    } catch (thrown) {
      // Public plugins disagree on whether the mask must exist beforehand.
      goOn(context, name);
      await selectLayers([layer.id]);
      await makeLayerMask().catch(() => {
        throw thrown;
      });
      await imaging.putLayerMask(options);
    }
  });
  await selectLayers([layer.id]);
  return layer;
}
