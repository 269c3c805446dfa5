import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, intersect, moved } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import { maskBounds } from '../../shared/mask.ts';
import type { Capture, Pixels } from '../panel/host.ts';
import { surroundings } from '../panel/surroundings.ts';
import { newUUID } from '../panel/uuid.ts';
import type { Layer, PhotoshopDocument } from './api.ts';
import { activeDocument, depthOf, modeOf, targetOf } from './documents.ts';
import { modally } from './modal.ts';
import { readComposite, readLayer } from './read-layer.ts';
import { type MaskSource, readMask } from './read-mask.ts';
import type { Results } from './results.ts';
import { isEmpty, toBounds } from './samples.ts';

/** What is edited: everything visible, or only the selected layer. */
export type Source = 'composite' | 'layer';

export interface CaptureChoice {
  readonly source: Source;
  readonly mask: MaskSource;
}

/**
 * Captures the active document's mask and its surroundings; without a mask, the whole picture or layer.
 * Unkept results are left out.
 * @throws CodedError `document-gone`, `document-refused`, `mask-empty`, and what `modally` throws
 */
export function capture({ source, mask }: CaptureChoice, results: Results): Promise<Capture> {
  return modally('Read the document', async (context) => {
    const document = activeDocument();
    const mode = modeOf(document);
    const bits = depthOf(document);
    const unkept = await results.unkept(document);
    const active = document.activeLayers[0];
    const layer = results.originOf(document, active);
    if (source === 'layer' && !layer) throw noLayer(document);
    /** The layer, if only that one is edited. */
    const only = source === 'layer' ? layer : undefined;
    const depth = bits === 8 ? 8 : 16;
    const canvas = boundsOf(document);
    const note = [noteOn(mode, bits), noteOnResults(unkept.length)].filter(Boolean).join(' ');
    const base = { target: targetOf(document, layer, newUUID()), ...(note === '' ? {} : { note }) };
    const pixels = (window: Bounds): Promise<Pixels> =>
      only
        ? readLayer(context, document, unkept, only, window, depth)
        : readComposite(context, document, unkept, window, depth);

    const part = await readMask(context, document, mask, active);
    if (!part) {
      const window = only ? toBounds(only.boundsNoEffects) : canvas;
      if (isEmpty(window)) throw nothingThere(layer);
      const edit = await pixels(window);
      const outline = only && opaquePart(edit, only);
      return { ...base, edit, origin: window, ...(outline ? { mask: outline } : {}) };
    }
    // A feather ends within its selection's bounds, and a faint selection may have wide bounds.
    const tight = maskBounds(part);
    if (!tight) throw nothingSelected();
    const window = surroundings(moved(tight, part), document);
    const edit = await pixels(window);
    return { ...base, edit, mask: widen(part, window), origin: window };
  });
}

/** Extends part of the mask to the whole window. */
function widen(part: Bounds & { readonly data: Uint8Array }, window: Bounds): Uint8Array {
  const data = new Uint8Array(window.width * window.height);
  const shared = intersect(part, window);
  for (let y = shared.top; y < shared.top + shared.height; y++) {
    const from = (y - part.top) * part.width + shared.left - part.left;
    const to = (y - window.top) * window.width + shared.left - window.left;
    data.set(part.data.subarray(from, from + shared.width), to);
  }
  return data;
}

/**
 * Where a layer has pixels, unless it has them everywhere, so that editing a whole layer keeps its outline.
 */
function opaquePart({ data }: Pixels, layer: Layer | undefined): Uint8Array | undefined {
  const white = data instanceof Uint16Array ? 65535 : 255;
  const mask = new Uint8Array(data.length / 4);
  let [least, most] = [255, 0];
  for (let i = 0; i < mask.length; i++) {
    const value = Math.round((data[i * 4 + 3]! * 255) / white);
    mask[i] = value;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (most === 0) throw nothingThere(layer);
  return least === 255 ? undefined : mask;
}

function noteOn(mode: string, bits: 8 | 16 | 32): string {
  if (bits === 32) return '32 bits: light brighter than white is cut off inside the new layer.';
  if (mode === 'RGB') return '';
  return `${mode[0]!.toUpperCase()}${mode.slice(1)} document: the new layer is converted from sRGB.`;
}

function noteOnResults(count: number): string {
  if (count === 0) return '';
  return count === 1
    ? 'The result that is not kept yet was left out of the picture.'
    : `The ${count} results that are not kept yet were left out of the picture.`;
}

function noLayer({ name }: PhotoshopDocument): CodedError {
  return new CodedError('document-refused', {
    detail: `No layer of “${name}” is selected.`,
    remedy: 'Select the layer to edit, or edit what you see.',
  });
}

function nothingThere(layer: Layer | undefined): CodedError {
  return new CodedError('document-refused', {
    detail: `The layer “${layer?.name ?? ''}” has no pixels.`,
    remedy: 'Select another layer, or make a selection.',
  });
}

function nothingSelected(): CodedError {
  return new CodedError('mask-empty', {
    detail: 'Nothing inside the canvas is selected.',
    remedy: 'Select what should change, or nothing at all to change everything.',
  });
}
