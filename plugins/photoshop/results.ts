/**
 * Results that are already layers but neither kept nor discarded. Captures leave them out, so that another
 * run edits the picture rather than the result. A result counts as kept once the person presses Keep, edits
 * or moves it, or closes its document.
 */
import { type Signal, signal } from '@preact/signals';
import type { Layer, PhotoshopDocument } from './api.ts';
import { findLayer } from './documents.ts';
import { inOneStep, modally } from './modal.ts';
import { app, imaging } from './modules.ts';
import { sRGB, using } from './samples.ts';

export interface UnkeptResult {
  readonly documentID: number;
  readonly layerID: number;
  /** Results of the same capture are alternatives. */
  readonly captureID: string;
  /** The active layer at capture. */
  readonly madeFrom: number | undefined;
  readonly name: string;
  readonly seed: number;
  /** The layer's traits when it was placed. */
  readonly traits: string;
  readonly pixels: number;
}

/** An unkept result and its current layer. */
interface Found {
  readonly result: UnkeptResult;
  readonly layer: Layer;
}

export function createResults() {
  const list: Signal<readonly UnkeptResult[]> = signal([]);
  /** The result on display. */
  const shown = signal<number | undefined>(undefined);
  /** Results and their groups, kept or not: they don't count as neighbours. */
  const placed = new Set<number>();

  function drop(isDropped: (result: UnkeptResult) => boolean): void {
    const left = list.value.filter((result) => !isDropped(result));
    if (left.length === list.value.length) return;
    list.value = left;
    if (list.value.every(({ layerID }) => layerID !== shown.value)) shown.value = list.value.at(-1)?.layerID;
  }

  /**
   * A document's results whose layers are unchanged since placed; the others are kept or gone, and dropped.
   */
  async function unkept(document: PhotoshopDocument): Promise<readonly Layer[]> {
    const found: Layer[] = [];
    for (const { result, layer } of look(document)) {
      if ((await hashOf(document, layer)) === result.pixels) found.push(layer);
      else drop((other) => other === result);
    }
    return found;
  }

  /** Those whose properties and positions are unchanged; pixels aren't compared. */
  function look(document: PhotoshopDocument): readonly Found[] {
    const open = new Set(app.documents.map(({ id }) => id));
    drop(({ documentID }) => !open.has(documentID));
    const found: Found[] = [];
    for (const result of list.value.filter(({ documentID }) => documentID === document.id)) {
      const layer = findLayer(document.layers, result.layerID);
      if (layer && traitsOf(document, layer, placed) === result.traits) found.push({ result, layer });
      else drop((other) => other === result);
    }
    return found;
  }

  function find(layerID: number): Found | undefined {
    const result = list.value.find((one) => one.layerID === layerID);
    const document = app.documents.find(({ id }) => id === result?.documentID);
    const layer = document && findLayer(document.layers, layerID);
    if (result && layer) return { result, layer };
    drop((one) => one.layerID === layerID);
    return undefined;
  }

  /** A result and its alternatives, as far as they still exist. */
  function alternativesOf(layerID: number): { readonly chosen: Found; readonly others: Found[] } | undefined {
    const chosen = find(layerID);
    if (!chosen) return undefined;
    const { captureID, documentID } = chosen.result;
    const others = list.value
      .filter(
        (one) => one.captureID === captureID && one.documentID === documentID && one.layerID !== layerID,
      )
      .flatMap((one) => find(one.layerID) ?? []);
    return { chosen, others };
  }

  function change(name: string, documentID: number, work: () => Promise<void>): Promise<void> {
    return modally(name, async (context) => {
      const document = app.documents.find(({ id }) => id === documentID);
      if (document) await inOneStep(context, document, name, work);
    });
  }

  return {
    /** The results in all documents, oldest first. */
    list,
    shown,
    unkept,

    /** For an unkept result, the layer it was made from; any other layer is its own origin. */
    originOf(document: PhotoshopDocument, layer: Layer | undefined): Layer | undefined {
      if (!layer) return undefined;
      const isIn = (one: UnkeptResult): boolean =>
        one.documentID === document.id && findLayer([layer], one.layerID) !== undefined;
      // A group of variants isn't an origin either, but a group that merely contains a result is.
      const result = placed.has(layer.id) ? list.value.find(isIn) : undefined;
      if (!result) return layer;
      return result.madeFrom === undefined ? undefined : findLayer(document.layers, result.madeFrom);
    },

    /** The topmost of the alternatives placed earlier. */
    highest(document: PhotoshopDocument, captureID: string): Layer | undefined {
      const last = list.value
        .filter((one) => one.documentID === document.id && one.captureID === captureID)
        .at(-1);
      const layer = last && findLayer(document.layers, last.layerID);
      // Variants have their own group: the next result goes above it.
      return layer?.parent && placed.has(layer.parent.id) ? layer.parent : layer;
    },

    /** Hides the alternatives of a result that is being placed. */
    hideAlternatives(document: PhotoshopDocument, captureID: string): void {
      for (const one of list.value) {
        if (one.documentID !== document.id || one.captureID !== captureID) continue;
        const layer = findLayer(document.layers, one.layerID);
        if (layer?.visible) layer.visible = false;
      }
    },

    /**
     * Adds the placed results, first to last.
     * @param group the group that holds several results
     */
    async add(
      document: PhotoshopDocument,
      added: readonly { readonly layer: Layer; readonly seed: number }[],
      parts: Pick<UnkeptResult, 'captureID' | 'madeFrom' | 'name'>,
      group: Layer | undefined,
      chosen: number,
    ): Promise<void> {
      for (const { layer } of added) placed.add(layer.id);
      if (group) placed.add(group.id);
      const results: UnkeptResult[] = [];
      for (const { layer, seed } of added) {
        const traits = traitsOf(document, layer, placed);
        const pixels = await hashOf(document, layer);
        const { id: layerID } = layer;
        results.push({ ...parts, documentID: document.id, layerID, seed, traits, pixels });
      }
      list.value = [...list.value, ...results];
      shown.value = results[chosen]?.layerID;
    },

    /** Shows one result and hides its alternatives. */
    async show(layerID: number): Promise<void> {
      const found = alternativesOf(layerID);
      if (!found) return;
      const { chosen, others } = found;
      await change('Show a result', chosen.result.documentID, async () => {
        for (const { layer } of others) if (layer.visible) layer.visible = false;
        chosen.layer.visible = true;
      });
      shown.value = layerID;
    },

    /** Keeps a result and deletes its alternatives; one undo restores them. */
    async keep(layerID: number): Promise<void> {
      const found = alternativesOf(layerID);
      if (!found) return;
      const { chosen, others } = found;
      if (others.length > 0) {
        await change('Keep a result', chosen.result.documentID, async () => {
          chosen.layer.visible = true;
          for (const { layer } of others) await layer.delete();
        });
      }
      const { captureID, documentID } = chosen.result;
      drop((one) => one.captureID === captureID && one.documentID === documentID);
    },

    /** Deletes a result and shows the previous one. */
    async discard(layerID: number): Promise<void> {
      const found = alternativesOf(layerID);
      if (!found) return;
      const { chosen, others } = found;
      const next = others.at(-1);
      await change('Discard a result', chosen.result.documentID, async () => {
        const { parent } = chosen.layer;
        await chosen.layer.delete();
        // Remove the variants' group along with the last of them.
        if (parent && placed.has(parent.id) && (parent.layers ?? []).length === 0) await parent.delete();
        if (next) next.layer.visible = true;
      });
      drop((one) => one.layerID === layerID);
      if (next) shown.value = next.result.layerID;
    },

    /**
     * Drops results that are gone, moved or changed, as far as is cheap to check. Called after each user
     * action.
     */
    refresh(): void {
      const document = app.activeDocument;
      if (document && list.value.length > 0) look(document);
      else if (!document) drop(() => app.documents.length === 0);
    },
  };
}

export type Results = ReturnType<typeof createResults>;

/**
 * What changes when a person moves a layer or edits its settings, as text to compare: its properties and its
 * position among the others. Visibility isn't included, since results are shown and hidden for comparison.
 */
function traitsOf(document: PhotoshopDocument, layer: Layer, placed: ReadonlySet<number>): string {
  const { name, opacity, blendMode, isClippingMask, boundsNoEffects, bounds } = layer;
  const rectangles = [boundsNoEffects, bounds].map(({ left, top, right, bottom }) => [
    left,
    top,
    right,
    bottom,
  ]);
  const places: (number | undefined)[] = [];
  for (let one: Layer | null = layer; one; one = one.parent) {
    const siblings: readonly Layer[] = one.parent?.layers ?? document.layers;
    const at = siblings.findIndex(({ id }) => id === one?.id);
    places.push(siblings.slice(at + 1).find(({ id }) => !placed.has(id))?.id, one.parent?.id);
  }
  return JSON.stringify([name, opacity, blendMode, isClippingMask, rectangles, places]);
}

/** FNV-1a (RFC 9923) of a layer's masked pixels; 0 if there are none to read. */
async function hashOf(document: PhotoshopDocument, layer: Layer): Promise<number> {
  try {
    const read = await imaging.getPixels({
      documentID: document.id,
      layerID: layer.id,
      sourceBounds: layer.boundsNoEffects,
      colorSpace: 'RGB',
      colorProfile: sRGB,
      componentSize: 8,
    });
    const samples = await using(read.imageData, (imageData) => imageData.getData({ chunky: true }));
    let hash = 0x811c9dc5;
    for (let i = 0; i < samples.length; i++) hash = Math.imul(hash ^ samples[i]!, 0x01000193);
    return hash >>> 0;
  } catch {
    return 0;
  }
}
