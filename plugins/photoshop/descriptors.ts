/**
 * What only action descriptors can do. Each follows the public plugin named next to it. Photoshop's replies
 * are checked, since batchPlay resolves with some errors and throws others.
 */
import type { Descriptor, Layer, PhotoshopDocument } from './api.ts';
import { action } from './modules.ts';

/** @throws Error with Photoshop's own message */
export async function play(command: Descriptor): Promise<Descriptor> {
  const [answer = {}] = await action.batchPlay([{ ...command, _options: { dialogOptions: 'silent' } }], {});
  if (answer._obj === 'error' || (typeof answer.result === 'number' && answer.result < 0)) {
    throw new Error(String(answer.message ?? `Photoshop answered ${String(answer.result)}`));
  }
  return answer;
}

function layerOf(document: PhotoshopDocument, id: number): readonly Descriptor[] {
  return [
    { _ref: 'layer', _id: id },
    { _ref: 'document', _id: document.id },
  ];
}

/**
 * Selects exactly these layers (SphericalLabs/mega-musa, src/photoshop/layers.ts).
 * @param ids an empty list deselects all layers
 */
export async function selectLayers(ids: readonly number[]): Promise<void> {
  if (ids.length === 0) {
    await play({
      _obj: 'selectNoLayers',
      _target: [{ _ref: 'layer', _enum: 'ordinal', _value: 'targetEnum' }],
    });
    return;
  }
  for (const [i, _id] of ids.entries()) {
    const add = { _enum: 'selectionModifierType', _value: 'addToSelection' };
    const target = { _obj: 'select', _target: [{ _ref: 'layer', _id }], makeVisible: false };
    await play(i === 0 ? target : { ...target, selectionModifier: add });
  }
}

/** Whether a layer or group has a layer mask or a vector mask, even a disabled one. */
export async function isMasked(document: PhotoshopDocument, layer: Layer): Promise<boolean> {
  for (const property of ['hasUserMask', 'hasVectorMask']) {
    const _target = [{ _property: property }, ...layerOf(document, layer.id)];
    const answer = await play({ _obj: 'get', _target }).catch(() => undefined);
    if (answer?.[property] === true) return true;
  }
  return false;
}

/** Adds a mask that hides all of the selected layer: `putLayerMask` may need an existing mask. */
export async function makeLayerMask(): Promise<void> {
  await play({
    _obj: 'make',
    new: { _class: 'channel' },
    at: { _ref: 'channel', _enum: 'channel', _value: 'mask' },
    using: { _enum: 'userMaskEnabled', _value: 'hideAll' },
  });
}

const selection = [{ _ref: 'channel', _property: 'selection' }];

export async function deselect(): Promise<void> {
  await play({ _obj: 'set', _target: selection, to: { _enum: 'ordinal', _value: 'none' } });
}

/** Loads the mask of the single selected layer (SphericalLabs/mega-musa, src/photoshop/masks.ts). */
export async function selectLayerMask(): Promise<void> {
  await play({ _obj: 'set', _target: selection, to: { _ref: 'channel', _enum: 'channel', _value: 'mask' } });
}

/** Loads a saved selection. */
export async function selectChannel(name: string): Promise<void> {
  await play({ _obj: 'set', _target: selection, to: { _ref: 'channel', _name: name } });
}

const quickMask = [
  { _ref: 'property', _property: 'quickMask' },
  { _ref: 'document', _enum: 'ordinal', _value: 'targetEnum' },
];

/** Leaves Quick Mask mode: the mask becomes the selection. */
export async function leaveQuickMask(): Promise<void> {
  await play({ _obj: 'clearEvent', _target: quickMask });
}

/** Enters Quick Mask mode: the selection becomes the mask. */
export async function enterQuickMask(): Promise<void> {
  await play({ _obj: 'set', _target: quickMask });
}
