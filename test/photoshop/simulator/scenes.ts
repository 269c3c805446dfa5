/** Computed and random documents, and what a test needs to know about them. */
import type { Rectangle, Samples } from '../../../plugins/photoshop/api.ts';
import { channelsOf, type Depth, type Mode, quantise, samples, whiteOf } from './colours.ts';
import {
  asSRGB,
  boundsOf,
  find,
  flatten,
  fromSRGBPlane,
  heightOf,
  type Kind,
  type LayerState,
  maskedPixels,
  type Plane,
  trimmed,
  widthOf,
} from './documents.ts';
import { canvasOf, modeNameOf, newLayer, type OpenDocument, type Simulator } from './simulator.ts';

export interface LayerRecipe {
  readonly name?: string;
  readonly kind?: Kind;
  readonly bounds?: Rectangle;
  readonly visible?: boolean;
  readonly locked?: boolean;
  readonly clipped?: boolean;
  readonly isBackground?: boolean;
  /** Transparent here and there. */
  readonly holes?: boolean;
  /** Of a layer mask: a ramp over the canvas, or one that hides everything. */
  readonly mask?: 'ramp' | 'black';
  readonly children?: readonly LayerRecipe[];
}

export interface DocumentRecipe {
  readonly name?: string;
  readonly width: number;
  readonly height: number;
  readonly mode?: Mode;
  readonly depth?: Depth;
  readonly profile?: string;
  /** A mode without layers, such as indexedColorMode. */
  readonly modeName?: string;
  readonly seed?: number;
  readonly layers?: readonly LayerRecipe[];
  /** The active layer's index, topmost first; none if negative. */
  readonly active?: number;
}

const profiles: Readonly<Record<Mode, string>> = {
  RGB: 'sRGB IEC61966-2.1',
  GRAYSCALE: 'Gray Gamma 2.2',
  LAB: 'Lab D50',
  CMYK: 'Coated FOGRA39',
};

const wide = ['Adobe RGB (1998)', 'Display P3'];

/** Numbers in [0, 1) from a seed (mulberry32). */
export function random(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function openDocument(simulator: Simulator, recipe: DocumentRecipe): number {
  const { width, height, mode = 'RGB', depth = 8, layers = [{ isBackground: true }] } = recipe;
  const profile = recipe.profile ?? profiles[mode];
  const document: OpenDocument = {
    id: simulator.newId(),
    name: recipe.name ?? 'Untitled-1',
    width,
    height,
    modeName: recipe.modeName ?? modeNameOf(mode),
    space: { mode, profile, depth },
    state: { layers: [], selection: undefined, channels: [], active: [] },
    quickMask: undefined,
    history: [],
  };
  const chance = random(recipe.seed ?? 1);
  document.state.layers = layers.map((layer) => makeLayer(simulator, document, layer, chance));
  const active = document.state.layers[recipe.active ?? 0];
  if (active) document.state.active = [active.id];
  simulator.documents.push(document);
  simulator.active = document;
  simulator.notify();
  return document.id;
}

function makeLayer(
  simulator: Simulator,
  document: OpenDocument,
  recipe: LayerRecipe,
  chance: () => number,
): LayerState {
  const layer = newLayer(simulator.newId(), recipe.name ?? 'Layer');
  const bounds = recipe.bounds ?? canvasOf(document);
  layer.kind = recipe.children ? 'group' : (recipe.kind ?? 'pixel');
  layer.visible = recipe.visible ?? true;
  layer.locked = recipe.locked ?? recipe.isBackground ?? false;
  layer.clipped = recipe.clipped ?? false;
  layer.isBackground = recipe.isBackground ?? false;
  layer.children = (recipe.children ?? []).map((child) => makeLayer(simulator, document, child, chance));
  if (recipe.mask) layer.mask = maskOf(document, recipe.mask);
  if (layer.kind !== 'group') layer.pixels = noise(document, bounds, chance, recipe.holes ?? false);
  return layer;
}

function maskOf(document: OpenDocument, kind: 'ramp' | 'black'): Plane {
  const { width, space } = document;
  const bounds = canvasOf(document);
  const data = samples(width * heightOf(bounds), space.depth);
  for (let i = 0; i < data.length; i++) {
    data[i] = kind === 'black' ? 0 : quantise((i % width) / Math.max(1, width - 1), space.depth);
  }
  return { bounds, data };
}

/** A different value in every sample, so that a shift by one or a rounding shows. */
function noise({ space }: OpenDocument, bounds: Rectangle, chance: () => number, holes: boolean): Plane {
  const channels = channelsOf[space.mode] + 1;
  const count = widthOf(bounds) * heightOf(bounds);
  const data = samples(count * channels, space.depth);
  const white = whiteOf(space.depth);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < channels - 1; c++) data[i * channels + c] = quantise(chance(), space.depth);
    const alpha = holes && chance() < 0.3 ? quantise(chance(), space.depth) : white;
    data[(i + 1) * channels - 1] = alpha;
  }
  return { bounds, data };
}

export interface SelectionRecipe {
  readonly bounds: Rectangle;
  /** How many pixels its edges fade over. */
  readonly feather?: number;
}

/** Selects a rectangle, as a person does; nothing where `recipe` is absent. */
export function select(document: OpenDocument, recipe: SelectionRecipe | undefined): void {
  document.state.selection = recipe && trimmed(selectionOf(document, recipe));
}

/** A rectangle as a selection, to be made one, saved as a channel or painted as a quick mask. */
export function selectionOf(document: OpenDocument, recipe: SelectionRecipe): Plane {
  const { bounds, feather = 0 } = recipe;
  const width = widthOf(bounds);
  const data = samples(width * heightOf(bounds), document.space.depth);
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const depth = Math.min(x, y, width - 1 - x, heightOf(bounds) - 1 - y) + 1;
    data[i] = quantise(feather === 0 ? 1 : Math.min(1, depth / (feather + 1)), document.space.depth);
  }
  return { bounds, data };
}

/**
 * Saved, closed and opened again: another number, no history, no selection; what lies in the file is there.
 */
export function reopen(simulator: Simulator, document: OpenDocument): number {
  const renumber = (layer: LayerState): LayerState => ({
    ...layer,
    children: layer.children.map(renumber),
  });
  const id = simulator.newId();
  const layers = document.state.layers.map(renumber);
  const active = layers.slice(0, 1).map((layer) => layer.id);
  const { channels } = document.state;
  const state = { layers, selection: undefined, channels, active };
  close(simulator, document);
  const again = { ...document, id, state, history: [] };
  simulator.documents.push(again);
  simulator.active = again;
  simulator.notify();
  return id;
}

export function close(simulator: Simulator, document: OpenDocument): void {
  simulator.documents.splice(simulator.documents.indexOf(document), 1);
  if (simulator.active === document) simulator.active = simulator.documents[0];
  simulator.notify();
}

export function undo(document: OpenDocument): string | undefined {
  const step = document.history.pop();
  if (step) document.state = step.before;
  return step?.name;
}

export interface LayerReport {
  readonly id: number;
  readonly name: string;
  readonly kind: Kind;
  readonly visible: boolean;
  readonly bounds: Rectangle;
  readonly maskBounds: Rectangle | null;
  readonly hasRecipe: boolean;
  readonly children: readonly LayerReport[];
}

export function reportLayer(layer: LayerState): LayerReport {
  const { id, name, kind, visible, pixels, mask, xmp, children } = layer;
  return {
    id,
    name,
    kind,
    visible,
    bounds: pixels.bounds,
    maskBounds: mask?.bounds ?? null,
    hasRecipe: xmp !== '',
    children: children.map(reportLayer),
  };
}

export interface Comparison {
  /**
   * Samples of the visible document that changed where the selection is 0, in the document's own channels.
   */
  readonly changedOutside: number;
  /** Pixels that changed inside. */
  readonly changedInside: number;
  /** The largest change anywhere where the document was opaque, in 1/255 of sRGB. */
  readonly largest: number;
  /**
   * The largest difference between the new layer's own channels and those that were seen there, converted to
   * sRGB at the depth of a capture and back: in 1/255 of the document's channels.
   */
  readonly largestOfLayer: number;
  /** The largest difference between the new layer's mask and the selection, in 1/255. */
  readonly largestOfMask: number;
  /** Whether the selection is unchanged. */
  readonly selectionKept: boolean;
}

/** What a placement did to a document; its new layer, if any, is the highest one. */
export function compare(document: OpenDocument, before: OpenDocument['state']): Comparison {
  const { space } = document;
  const canvas = canvasOf(document);
  const channels = channelsOf[space.mode] + 1;
  const old = flatten(before.layers, space, canvas);
  const now = flatten(document.state.layers, space, canvas);
  const [oldRGB, nowRGB] = [old, now].map((plane) => asSRGB(plane, space, 16, false)) as [Samples, Samples];
  const white = whiteOf(space.depth);
  const selection = before.selection;
  const added = document.state.layers.find(({ xmp }) => xmp !== '');
  const captured = space.depth === 8 ? 8 : 16;
  const converted = fromSRGBPlane(asSRGB(old, space, captured, false), 3, captured, space);
  const mask = added?.mask;
  let [changedOutside, changedInside, largest, largestOfLayer, largestOfMask] = [0, 0, 0, 0, 0];
  for (let i = 0; i < old.data.length / channels; i++) {
    const [x, y] = [i % document.width, Math.floor(i / document.width)];
    const selected = selection ? valueAt(selection, x, y) : white;
    let changed = 0;
    for (let c = 0; c < channels; c++) {
      if (old.data[i * channels + c] !== now.data[i * channels + c]) changed++;
    }
    if (selected === 0) changedOutside += changed;
    else if (changed > 0) changedInside++;
    if (old.data[(i + 1) * channels - 1] === white) {
      for (let c = 0; c < 3; c++) {
        largest = Math.max(largest, (Math.abs(oldRGB[i * 3 + c]! - nowRGB[i * 3 + c]!) * 255) / 32768);
      }
    }
    const own = added && old.data[(i + 1) * channels - 1]! > 0 ? indexIn(added.pixels.bounds, x, y) : -1;
    for (let c = 0; own >= 0 && c < channels - 1; c++) {
      const off = added!.pixels.data[own * channels + c]! - converted[i * channels + c]!;
      largestOfLayer = Math.max(largestOfLayer, (Math.abs(off) * 255) / white);
    }
    if (mask && selection) {
      largestOfMask = Math.max(largestOfMask, (Math.abs(valueAt(mask, x, y) - selected) * 255) / white);
    }
  }
  return {
    changedOutside,
    changedInside,
    largest,
    largestOfLayer,
    largestOfMask,
    selectionKept: JSON.stringify(document.state.selection) === JSON.stringify(selection),
  };
}

function valueAt({ bounds, data }: Plane, x: number, y: number): number {
  const index = indexIn(bounds, x, y);
  return index < 0 ? 0 : data[index]!;
}

/** A pixel's index inside bounds; negative outside. */
function indexIn({ left, top, right, bottom }: Rectangle, x: number, y: number): number {
  return x < left || x >= right || y < top || y >= bottom ? -1 : (y - top) * (right - left) + x - left;
}

/** A random document, with or without a selection: what a capture must handle. */
export function randomScene(seed: number): { document: DocumentRecipe; selection?: SelectionRecipe } {
  const chance = random(seed * 7919);
  const whole = (from: number, to: number): number => from + Math.floor(chance() * (to - from + 1));
  const oneOf = <T>(values: readonly T[]): T => values[whole(0, values.length - 1)]!;
  const [width, height] = [whole(17, 96), whole(17, 96)];
  const mode = oneOf(['RGB', 'RGB', 'RGB', 'GRAYSCALE', 'LAB', 'CMYK'] as const);
  const depth = oneOf(mode === 'CMYK' ? ([8, 16] as const) : ([8, 8, 16, 16, 32] as const));
  const profile = mode === 'RGB' ? oneOf([profiles.RGB, profiles.RGB, ...wide]) : profiles[mode];
  const layer = (): LayerRecipe => {
    const [left, top] = [whole(-30, width - 5), whole(-30, height - 5)];
    const bounds = { left, top, right: left + whole(5, 90), bottom: top + whole(5, 90) };
    const kind = oneOf(['pixel', 'pixel', 'text', 'smartObject'] as const);
    return { kind, bounds, holes: chance() < 0.5, visible: chance() < 0.85, locked: chance() < 0.1 };
  };
  const layers: LayerRecipe[] = [];
  for (let i = whole(0, 2); i > 0; i--)
    layers.push(chance() < 0.2 ? { children: [layer(), layer()] } : layer());
  layers.push(chance() < 0.7 ? { isBackground: true } : { ...layer(), visible: true });
  const [left, top] = [whole(0, width - 9), whole(0, height - 9)];
  const bounds = { left, top, right: whole(left + 8, width), bottom: whole(top + 8, height) };
  const document = { width, height, mode, depth, profile, seed, layers, active: whole(0, layers.length - 1) };
  if (chance() < 0.2) return { document };
  return { document, selection: { bounds, feather: chance() < 0.5 ? whole(1, 6) : 0 } };
}

/** All layers of a document, parents before children. */
export function everyLayer(layers: readonly LayerState[]): LayerState[] {
  return layers.flatMap((layer) => [layer, ...everyLayer(layer.children)]);
}

/** RGBA of 8 or 16 bits with its position. */
export interface Seen {
  readonly bounds: Rectangle;
  readonly data: readonly number[];
}

/**
 * What a layer or group shows alone, with its mask: what a reference of it has to be. Null where that is
 * nothing.
 */
export function seenOf(document: OpenDocument, id: number): Seen | null {
  const { space } = document;
  const layer = find(document.state.layers, id)!;
  const alone: LayerState = { ...layer, visible: true, clipped: false };
  const whole = boundsOf(alone);
  const plane = alone.kind === 'group' ? flatten([alone], space, whole) : maskedPixels(alone, space);
  if (widthOf(plane.bounds) === 0 || heightOf(plane.bounds) === 0) return null;
  return { bounds: plane.bounds, data: [...asSRGB(plane, space, 8, true)] };
}

/** The composite of all layers, over the whole canvas. */
export function seenTogether(document: OpenDocument): Seen {
  const bounds = canvasOf(document);
  const depth = document.space.depth === 8 ? 8 : 16;
  return {
    bounds,
    data: [...asSRGB(flatten(document.state.layers, document.space, bounds), document.space, depth, true)],
  };
}

/** Whether a layer shows itself as it is: neither it nor a group around it is clipped, hidden or masked. */
export function isPlain(document: OpenDocument, id: number): boolean {
  const path = (layers: readonly LayerState[]): LayerState[] | undefined => {
    for (const layer of layers) {
      if (layer.id === id) return [layer];
      const rest = path(layer.children);
      if (rest) return [layer, ...rest];
    }
    return undefined;
  };
  const [own, ...groups] = path(document.state.layers)!.reverse();
  return !own!.clipped && groups.every((group) => !group.clipped && group.visible && !group.mask);
}
