import type { Bounds } from '../../shared/bounds.ts';
import { intersect } from '../../shared/bounds.ts';
import type { Pixels } from '../panel/host.ts';
import type { ExecutionContext, Layer, PhotoshopDocument } from './api.ts';
import { isGroup, leavesOf } from './documents.ts';
import { inOneStep } from './modal.ts';
import { app, imaging } from './modules.ts';
import { isEmpty, padPixels, sRGB, toBounds, toRectangle, using } from './samples.ts';

/** What all visible layers show together, inside `window`. */
export async function readComposite(
  document: PhotoshopDocument,
  window: Bounds,
  depth: 8 | 16,
): Promise<Pixels> {
  const hasPixels = leavesOf(document.layers).some(
    (layer) => !isEmpty(intersect(toBounds(layer.boundsNoEffects), window)),
  );
  return hasPixels ? read(document, undefined, window, depth) : transparent(window, depth);
}

/** What one layer or group shows inside `window`, hidden or not, without its mask and effects. */
export async function readLayer(
  context: ExecutionContext,
  document: PhotoshopDocument,
  layer: Layer,
  window: Bounds,
  depth: 8 | 16,
): Promise<Pixels> {
  if (isEmpty(intersect(toBounds(layer.boundsNoEffects), window))) return transparent(window, depth);
  return flat(context, document, layer, ({ id }) => read(document, id, window, depth));
}

/**
 * Does something with a layer that has pixels of its own. A group has none: a copy of it is merged, and that is taken
 * back afterwards.
 */
export async function flat<T>(
  context: ExecutionContext,
  document: PhotoshopDocument,
  layer: Layer,
  work: (layer: Layer) => Promise<T>,
): Promise<T> {
  if (!isGroup(layer)) return work(layer);
  const name = 'Read a group';
  let value: T | undefined;
  const takenBack = new Error('taken back');
  try {
    await inOneStep(context, document, name, async () => {
      const copy = await layer.duplicate();
      copy.visible = true;
      value = await work(await copy.merge());
      throw takenBack;
    });
  } catch (thrown) {
    if (thrown !== takenBack) throw thrown;
  }
  return value as T;
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

/** The layer that an edit is meant for: the first of those that are selected. */
export function selectedLayer(document: PhotoshopDocument): Layer | undefined {
  return document.activeLayers[0];
}

export function isOpen(document: PhotoshopDocument): boolean {
  return app.documents.some(({ id }) => id === document.id);
}
