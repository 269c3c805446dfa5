import type { Bounds } from '../../shared/bounds.ts';
import { intersect } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import type { Pixels } from '../panel/host.ts';
import type { ExecutionContext, Layer, PhotoshopDocument } from './api.ts';
import { selectLayers } from './descriptors.ts';
import { isGroup, leavesOf } from './documents.ts';
import { rolledBack } from './modal.ts';
import { imaging } from './modules.ts';
import { isEmpty, padMask, padPixels, sRGB, toBounds, toRectangle, using } from './samples.ts';

/**
 * The composite of all visible layers inside `window`.
 * @param hidden layers to leave out
 */
export async function readComposite(
  context: ExecutionContext,
  document: PhotoshopDocument,
  hidden: readonly Layer[],
  window: Bounds,
  depth: 8 | 16,
): Promise<Pixels> {
  const visible = hidden.filter((layer) => layer.visible);
  const readIt = async (): Promise<Pixels> => {
    try {
      return await read(document, undefined, window, depth);
    } catch (thrown) {
      // Photoshop refuses to read an empty area. Only then check every layer, which is slow.
      const isThere = leavesOf(document.layers).some((layer) => layer.visible && overlaps(layer, window));
      if (isThere) throw thrown;
      return transparent(window, depth);
    }
  };
  if (visible.length === 0) return readIt();
  return rolledBack(context, document, 'Read without results that are not kept', () => {
    hide(visible);
    return readIt();
  });
}

/**
 * The pixels of one layer or group inside `window`, whether it is hidden or not, with its layer mask (which
 * Photoshop applies) and without its effects.
 * @param hidden layers to leave out of a group
 */
export async function readLayer(
  context: ExecutionContext,
  document: PhotoshopDocument,
  hidden: readonly Layer[],
  layer: Layer,
  window: Bounds,
  depth: 8 | 16,
): Promise<Pixels> {
  if (!overlaps(layer, window)) return transparent(window, depth);
  return flat(context, document, hidden, layer, async (pixelLayer) => {
    try {
      return await read(document, pixelLayer.id, window, depth);
    } catch (thrown) {
      if (overlaps(pixelLayer, window) && !(await isMaskedOut(document, pixelLayer, window))) throw thrown;
      return transparent(window, depth);
    }
  });
}

/**
 * Runs `work` on a layer that has its own pixels. A group has none, so a copy of it is merged and rolled back
 * afterwards.
 */
export async function flat<T>(
  context: ExecutionContext,
  document: PhotoshopDocument,
  hidden: readonly Layer[],
  layer: Layer,
  work: (layer: Layer) => Promise<T>,
): Promise<T> {
  if (!isGroup(layer)) return work(layer);
  return rolledBack(context, document, 'Read a group', async () => {
    hide(hidden.filter(({ visible }) => visible));
    return work(await mergedCopy(document, layer));
  });
}

/**
 * Photoshop merges the selected layers, not the one `merge` is called on (AdobeDocs/uxp-photoshop,
 * Layer.merge plays `mergeLayersNew`): so only the copy is selected, and the outcome is checked.
 * @throws CodedError `document-refused` if anything but the copy was merged
 */
async function mergedCopy(document: PhotoshopDocument, group: Layer): Promise<Layer> {
  const before = new Set([group.id, ...document.activeLayers.map(({ id }) => id)]);
  const copy = await group.duplicate();
  // Locked or hidden layers can't be merged, and clipped ones would be merged only as far as their base
  // shows.
  for (const one of [copy, ...within(copy)]) if (one.allLocked) one.allLocked = false;
  if (copy.isClippingMask) copy.isClippingMask = false;
  copy.visible = true;
  await selectLayers([copy.id]);
  const [selected, ...others] = document.activeLayers;
  if (selected?.id !== copy.id || others.length > 0) throw mergedOthers(group);
  await copy.merge();
  const [merged, ...more] = document.activeLayers;
  if (!merged || more.length > 0 || before.has(merged.id) || isGroup(merged)) throw mergedOthers(group);
  return merged;
}

function within(group: Layer): Layer[] {
  return (group.layers ?? []).flatMap((layer) => [layer, ...within(layer)]);
}

function hide(layers: readonly Layer[]): void {
  for (const layer of layers) layer.visible = false;
}

function overlaps({ boundsNoEffects }: Layer, window: Bounds): boolean {
  return !isEmpty(intersect(toBounds(boundsNoEffects), window));
}

/** Whether a layer mask hides all of a layer inside `window`: Photoshop then returns no pixels. */
export async function isMaskedOut(
  document: PhotoshopDocument,
  layer: Layer,
  window: Bounds,
): Promise<boolean> {
  try {
    const options = { documentID: document.id, layerID: layer.id, kind: 'user' } as const;
    const mask = await imaging.getLayerMask(options);
    const part = intersect(toBounds(layer.boundsNoEffects), window);
    const data = await using(mask.imageData, () => padMask(mask, part));
    return data.every((value) => value === 0);
  } catch {
    return false;
  }
}

async function read(
  document: PhotoshopDocument,
  layerID: number | undefined,
  window: Bounds,
  depth: 8 | 16,
): Promise<Pixels> {
  const read = await imaging.getPixels({
    documentID: document.id,
    ...(layerID === undefined ? {} : { layerID }),
    sourceBounds: toRectangle(window),
    colorSpace: 'RGB',
    colorProfile: sRGB,
    componentSize: depth,
  });
  return using(read.imageData, () => padPixels(read, window));
}

function transparent({ width, height }: Bounds, depth: 8 | 16): Pixels {
  const length = width * height * 4;
  return depth === 8
    ? { width, height, data: new Uint8Array(length) }
    : { width, height, data: new Uint16Array(length) };
}

function mergedOthers({ name }: Layer): CodedError {
  return new CodedError('document-refused', {
    detail: `Photoshop merged other layers than the group “${name}”; that was taken back.`,
    remedy: 'Merge a copy of the group yourself (Layer > Merge Group), then use that layer.',
  });
}
