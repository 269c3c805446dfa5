/**
 * The recipe is stored in the layer's XMP packet, the one place for custom layer data that Adobe documents
 * for scripts (ArtLayer.xmpMetadata, since CS4). Photoshop saves it in the PSD and copies it with the layer.
 * A name or a hidden text layer would be visible, and plugin storage would not travel with the file.
 * Photoshop doesn't always write it; see recipe-notes.ts for the fallback.
 */
import * as v from 'valibot';
import { boundsSchema } from '../../shared/bounds.ts';
import type { Immutable } from '../../shared/immutable.ts';
import { readJSON } from '../../shared/parse.ts';
import { editRequestSchema } from '../../shared/protocol/request.ts';
import { editResultSchema } from '../../shared/protocol/result.ts';
import type { Placement } from '../panel/host.ts';
import type { Layer, PhotoshopDocument } from './api.ts';
import { play } from './descriptors.ts';
import { decodeUTF8, encodeUTF8 } from './utf8.ts';

const namespace = 'https://aceplusplus.org/ns/layers/1.0/';
const property = 'XMPMetadataAsUTF8';

const recipeSchema = v.object({
  request: editRequestSchema,
  result: editResultSchema,
  /** In document pixels. */
  bounds: boundsSchema,
});
export type Recipe = Immutable<v.InferOutput<typeof recipeSchema>>;

/** @throws Error with Photoshop's own message: some documents accept no layer XMP (error -1715) */
export async function writeRecipe(
  document: PhotoshopDocument,
  layer: Layer,
  { request, recipe, bounds }: Placement,
): Promise<void> {
  const kept: Recipe = { request, result: recipe, bounds };
  await play({
    _obj: 'set',
    _target: targetOf(document, layer),
    to: { _obj: 'layer', [property]: toXMP(kept) },
  });
}

/** Undefined for a layer this plugin didn't make: Photoshop then returns no XMP, or throws. */
export async function readRecipe(document: PhotoshopDocument, layer: Layer): Promise<Recipe | undefined> {
  const answer = await play({ _obj: 'get', _target: targetOf(document, layer) }).catch(() => undefined);
  const found = answer?.[property];
  return typeof found === 'string' ? fromXMP(found) : undefined;
}

function targetOf(document: PhotoshopDocument, layer: Layer): readonly object[] {
  return [
    { _ref: 'property', _property: property },
    { _ref: 'layer', _id: layer.id },
    { _ref: 'document', _id: document.id },
  ];
}

/** Base64, because Photoshop rewrites packets: as an attribute or an element, with its own escapes. */
function toXMP(recipe: Recipe): string {
  const value = btoa(String.fromCharCode(...encodeUTF8(JSON.stringify(recipe))));
  return [
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">',
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
    `<rdf:Description rdf:about="" xmlns:acepp="${namespace}"><acepp:recipe>${value}</acepp:recipe></rdf:Description>`,
    '</rdf:RDF></x:xmpmeta>',
  ].join('');
}

function fromXMP(packet: string): Recipe | undefined {
  const value = /acepp:recipe(?:="|>)\s*([A-Za-z0-9+/=]+)/.exec(packet)?.[1];
  if (!value) return undefined;
  try {
    const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
    return readJSON(recipeSchema, decodeUTF8(bytes));
  } catch {
    // It was truncated, as invalid Base64 or UTF-8 shows.
    return undefined;
  }
}
