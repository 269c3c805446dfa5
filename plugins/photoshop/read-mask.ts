import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, intersect } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import type { ExecutionContext, Layer, PhotoshopDocument } from './api.ts';
import {
  deselect,
  enterQuickMask,
  leaveQuickMask,
  selectChannel,
  selectLayerMask,
  selectLayers,
} from './descriptors.ts';
import { inOneStep, rolledBack } from './modal.ts';
import { constants, imaging } from './modules.ts';
import { isEmpty, padMask, toBounds, toRectangle, toSelectionImageData, using } from './samples.ts';

/** What to regenerate: the selection, the white of the selected layer's mask, or a saved selection. */
export type MaskSource = 'selection' | 'layer-mask' | `channel:${string}`;

const channelPrefix = 'channel:';

/** U8 `[height, width]` of a part of the canvas. */
export type MaskPart = Bounds & { readonly data: Uint8Array<ArrayBuffer> };

/** The document's saved selections. */
export function savedSelections(document: PhotoshopDocument): string[] {
  const { MASKEDAREA, SELECTEDAREA } = constants.ChannelType;
  return document.channels
    .filter(({ kind }) => kind === MASKEDAREA || kind === SELECTEDAREA)
    .map(({ name }) => name);
}

/**
 * The mask of an edit; undefined if nothing is selected, which means the whole picture. In Quick Mask mode it
 * is the quick mask, whatever was chosen, since nothing else is visible then.
 * @throws CodedError `mask-empty`
 */
export async function readMask(
  context: ExecutionContext,
  document: PhotoshopDocument,
  source: MaskSource,
  layer: Layer | undefined,
): Promise<MaskPart | undefined> {
  if (document.quickMaskMode) return (await readQuickMask(context, document)) ?? nothingIn('The quick mask');
  if (source === 'selection') return readSelection(document);
  if (source !== 'layer-mask') {
    const name = source.slice(channelPrefix.length);
    if (!savedSelections(document).includes(name)) throw noMask(`There is no saved selection “${name}”.`);
    const part = await loaded(context, document, () => selectChannel(name));
    return part ?? nothingIn(`The saved selection “${name}”`);
  }
  if (!layer) throw noMask('No layer is selected whose mask could be used.');
  const part = await loaded(context, document, async () => {
    await selectLayers([layer.id]);
    try {
      await selectLayerMask();
    } catch (cause) {
      throw noMask(`The layer “${layer.name}” has no mask.`, cause);
    }
  });
  return part ?? nothingIn(`The mask of the layer “${layer.name}”`);
}

/** The selection inside the canvas; undefined if nothing is selected. */
async function readSelection(document: PhotoshopDocument): Promise<MaskPart | undefined> {
  const selected = document.selection.bounds;
  if (!selected) return undefined;
  const bounds = intersect(toBounds(selected), boundsOf(document));
  if (isEmpty(bounds)) throw noMask('Nothing inside the canvas is selected.');
  const read = await imaging.getSelection({ documentID: document.id, sourceBounds: toRectangle(bounds) });
  return { ...bounds, data: await using(read.imageData, () => padMask(read, bounds)) };
}

/**
 * Loads something as the selection, reads it, and restores the earlier selection: explicitly, since the
 * history rollback isn't known to do so.
 */
async function loaded(
  context: ExecutionContext,
  document: PhotoshopDocument,
  load: () => Promise<void>,
): Promise<MaskPart | undefined> {
  const earlier = document.selection.bounds ? await readSelection(document) : undefined;
  return rolledBack(context, document, 'Read the mask', async () => {
    try {
      await load();
      return await readSelection(document);
    } finally {
      await restore(document, earlier);
    }
  });
}

async function restore(document: PhotoshopDocument, part: MaskPart | undefined): Promise<void> {
  if (!part) return deselect();
  const { left, top } = part;
  const options = { documentID: document.id, replace: true, targetBounds: { left, top } } as const;
  await using(await toSelectionImageData(part), (imageData) =>
    imaging.putSelection({ ...options, imageData }),
  );
}

/**
 * Leaves Quick Mask mode and re-enters it with the same mask: one history state, kept because it changes
 * nothing.
 */
function readQuickMask(
  context: ExecutionContext,
  document: PhotoshopDocument,
): Promise<MaskPart | undefined> {
  return inOneStep(context, document, 'Read the quick mask', async () => {
    await leaveQuickMask();
    try {
      return await readSelection(document);
    } finally {
      await enterQuickMask();
    }
  });
}

function nothingIn(what: string): never {
  throw noMask(`${what} selects nothing.`);
}

function noMask(detail: string, cause?: unknown): CodedError {
  return new CodedError('mask-empty', {
    detail,
    remedy: 'Choose another mask, or select what should change; nothing selected means the whole picture.',
    ...(cause === undefined ? {} : { cause }),
  });
}
