import type { Placement } from '../panel/host.ts';
import type { ExecutionContext, Layer, PhotoshopDocument } from './api.ts';
import { depthOf, documentOf, findLayer, modeOf, type Target } from './documents.ts';
import { goOn, inOneStep, modally } from './modal.ts';
import { constants, imaging } from './modules.ts';
import { writeRecipe } from './recipe.ts';
import { toImageData, toMaskImageData, using } from './samples.ts';

/**
 * A result as one new pixel layer with a layer mask above the layer that it was made from, or several in a group;
 * one undo step takes all of it away. Selection and other layers stay as they are.
 * @throws CodedError `document-gone`, `document-refused`, and what `modally` throws; then nothing was changed
 */
export function place(variants: readonly Placement[], chosen: number): Promise<void> {
  const [first] = variants;
  if (!first?.target) throw new TypeError('a placement without a target');
  const target = JSON.parse(first.target) as Target;
  const name = `ACE++: ${first.name}`;
  return modally(name, async (context) => {
    const document = documentOf(target);
    modeOf(document);
    await inOneStep(context, document, name, async () => {
      const above = placeOf(document, target);
      const layers: Layer[] = [];
      // From the last to the first, so that the first one is on top.
      for (const [i, variant] of [...variants.entries()].reverse()) {
        goOn(context, name);
        const layer = await placeLayer(context, document, variant, layers[0] ?? above);
        if (variants.length > 1) layer.visible = i === chosen;
        layers.unshift(layer);
      }
      if (layers.length > 1) await document.createLayerGroup({ name: first.name, fromLayers: layers });
      goOn(context, name);
    });
  });
}

/**
 * The layer that a new one goes above; undefined for the very top. Not between a layer and those that are clipped to
 * it, which would be clipped to the new one then, and not into a locked group.
 */
function placeOf(document: PhotoshopDocument, { layerID }: Target): Layer | undefined {
  let place = layerID === undefined ? undefined : findLayer(document.layers, layerID);
  for (let group = place?.parent; group; group = group.parent) if (group.allLocked) place = group;
  while (place) {
    const siblings = place.parent?.layers ?? document.layers;
    const above = siblings[siblings.findIndex(({ id }) => id === place!.id) - 1];
    if (!above?.isClippingMask) break;
    place = above;
  }
  return place;
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
  const base = { documentID: document.id, replace: true } as const;
  const layer = await document.createPixelLayer({ name });
  const top = above ?? document.layers[0]!;
  if (top.id !== layer.id) await layer.move(top, constants.ElementPlacement.PLACEBEFORE);
  await using(await toImageData(pixels, depth), (imageData) =>
    imaging.putPixels({ ...base, layerID: layer.id, imageData, targetBounds: at }),
  );
  goOn(context, name);
  await using(await toMaskImageData(pixels, at, document, depth), (imageData) =>
    imaging.putLayerMask({
      ...base,
      layerID: layer.id,
      kind: 'user',
      imageData,
      targetBounds: { left: 0, top: 0 },
    }),
  );
  await writeRecipe(document, layer, variant);
  return layer;
}
