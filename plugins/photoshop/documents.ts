import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import type { Immutable } from '../../shared/immutable.ts';
import { readJSON } from '../../shared/parse.ts';
import type { Layer, PhotoshopDocument } from './api.ts';
import { app, constants } from './modules.ts';

/** @throws CodedError `document-gone` if none is open */
export function activeDocument(): PhotoshopDocument {
  if (app.activeDocument) return app.activeDocument;
  throw new CodedError('document-gone', {
    detail: 'No document is open.',
    remedy: 'Open a document, or make a new one.',
  });
}

/** The names of the colour modes whose pixels can be read as RGB. */
const modes: Readonly<Record<string, string>> = {
  [constants.DocumentMode.RGB]: 'RGB',
  [constants.DocumentMode.GRAYSCALE]: 'greyscale',
  [constants.DocumentMode.LAB]: 'Lab',
  [constants.DocumentMode.CMYK]: 'CMYK',
};

/** @throws CodedError `document-refused` for a mode without layers or colours, such as indexed colour */
export function modeOf({ name, mode }: PhotoshopDocument): string {
  const words = modes[mode];
  if (words) return words;
  throw new CodedError('document-refused', {
    detail: `“${name}” is in the mode ${mode.replace(/(Color)?Mode$/, '')}, which cannot be edited here.`,
    remedy: 'Change it with Image > Mode > RGB Color, then try again.',
  });
}

/** @throws CodedError `document-refused` for one bit per pixel */
export function depthOf({ name, bitsPerChannel }: PhotoshopDocument): 8 | 16 | 32 {
  const { EIGHT, SIXTEEN, THIRTYTWO } = constants.BitsPerChannelType;
  if (bitsPerChannel === EIGHT) return 8;
  if (bitsPerChannel === SIXTEEN) return 16;
  if (bitsPerChannel === THIRTYTWO) return 32;
  throw new CodedError('document-refused', {
    detail: `“${name}” has ${bitsPerChannel} a channel, which cannot be edited here.`,
    remedy: 'Change it with Image > Mode > 8 Bits/Channel, then try again.',
  });
}

export function isGroup(layer: Layer): boolean {
  return layer.kind === constants.LayerKind.GROUP;
}

/** Every layer that isn't a group, at any depth. */
export function leavesOf(layers: readonly Layer[]): Layer[] {
  return layers.flatMap((layer) => (isGroup(layer) ? leavesOf(layer.layers ?? []) : [layer]));
}

export function findLayer(layers: readonly Layer[], id: number): Layer | undefined {
  for (const layer of layers) {
    if (layer.id === id) return layer;
    const found = findLayer(layer.layers ?? [], id);
    if (found) return found;
  }
  return undefined;
}

/**
 * What a capture records of its document and layer. IDs end when a document closes: match by name and size
 * then.
 */
const documentTargetSchema = v.object({
  documentID: v.number(),
  name: v.string(),
  width: v.number(),
  height: v.number(),
  layerID: v.exactOptional(v.number()),
  /** Results with the same ID are alternatives; absent in records of earlier versions. */
  captureID: v.exactOptional(v.string()),
});
export type DocumentTarget = Immutable<v.InferOutput<typeof documentTargetSchema>>;

/** @throws CodedError `document-gone` if the text names no document */
export function readTarget(text: string | undefined): DocumentTarget {
  const target = readJSON(documentTargetSchema, text ?? '');
  if (target) return target;
  throw new CodedError('document-gone', {
    detail: 'It is not known which document this result was made of.',
    remedy: 'Open the document and run it again.',
  });
}

export function targetOf(
  { id, name, width, height }: PhotoshopDocument,
  layer: Layer | undefined,
  captureID: string,
): string {
  const target: DocumentTarget = {
    documentID: id,
    name,
    width,
    height,
    ...(layer && { layerID: layer.id }),
    captureID,
  };
  return JSON.stringify(target);
}

/**
 * The document a capture came from, even if it was closed and reopened.
 * @throws CodedError `document-gone`
 */
export function documentOf(target: DocumentTarget): PhotoshopDocument {
  const { documentID, name, width, height } = target;
  const isAsLarge = (document: PhotoshopDocument): boolean =>
    document.width === width && document.height === height;
  const isSame = (document: PhotoshopDocument): boolean => document.name === name && isAsLarge(document);
  // The last case is a document saved under another name; after a restart another document may have its ID.
  const found =
    app.documents.find((document) => document.id === documentID && document.name === name) ??
    app.documents.find(isSame) ??
    app.documents.find((document) => document.id === documentID && isAsLarge(document));
  if (found) return found;
  throw new CodedError('document-gone', {
    detail: `“${name}” was closed, so the result has nowhere to go yet.`,
    remedy: 'Open it again, then press “Keep as layer”. The result is kept until you discard it.',
  });
}
