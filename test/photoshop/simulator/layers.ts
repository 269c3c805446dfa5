/** Layers and documents as a plugin sees them, rejecting what Photoshop rejects. */
import type { Channel, Layer, PhotoshopDocument, Rectangle } from '../../../plugins/photoshop/api.ts';
import { boundsOf, copyLayer, find, flatten, joined, type LayerState, placeIn } from './documents.ts';
import { constants, newLayer, type OpenDocument, type Simulator } from './simulator.ts';

const componentNames = {
  RGB: ['Red', 'Green', 'Blue'],
  GRAYSCALE: ['Gray'],
  LAB: ['L', 'a', 'b'],
  CMYK: ['C', 'M', 'Y', 'K'],
};

export class SimulatedLayer implements Layer {
  constructor(
    readonly simulator: Simulator,
    readonly document: OpenDocument,
    readonly id: number,
  ) {}

  get #state(): LayerState {
    this.simulator.open(this.document);
    return this.simulator.layerOf(this.document, this.id);
  }

  get name(): string {
    return this.#state.name;
  }
  get kind(): string {
    return this.#state.kind;
  }
  get visible(): boolean {
    return this.#state.visible;
  }
  set visible(value: boolean) {
    this.simulator.changeDOM(this.document, 'hide or show');
    this.#state.visible = value;
  }
  get allLocked(): boolean {
    return this.#state.locked;
  }
  set allLocked(value: boolean) {
    this.simulator.changeDOM(this.document, 'lock or unlock');
    this.#state.locked = value;
  }
  get isClippingMask(): boolean {
    return this.#state.clipped;
  }
  set isClippingMask(value: boolean) {
    this.simulator.changeDOM(this.document, 'clip or release');
    this.#state.clipped = value;
  }
  get opacity(): number {
    return this.#state.opacity;
  }
  get blendMode(): string {
    return this.#state.blendMode;
  }
  get boundsNoEffects(): Rectangle {
    return boundsOf(this.#state);
  }
  get bounds(): Rectangle {
    return boundsOf(this.#state);
  }
  get parent(): Layer | null {
    const group = groupOf(this.document.state.layers, this.id);
    return group ? new SimulatedLayer(this.simulator, this.document, group.id) : null;
  }
  get layers(): readonly Layer[] {
    return this.#state.children.map(({ id }) => new SimulatedLayer(this.simulator, this.document, id));
  }

  async move(relative: Layer, placement: string): Promise<void> {
    const { simulator, document } = this;
    simulator.changeDOM(document, 'move');
    if (placement !== constants.ElementPlacement.PLACEBEFORE)
      simulator.refuse(`move: no placement ${placement}`);
    const layer = this.#state;
    if (layer.locked || layer.isBackground) simulator.refuse('move: the layer is locked');
    refuseLocked(simulator, document, relative.id, 'move');
    const from = placeIn(document.state.layers, this.id)!;
    from.list.splice(from.at, 1);
    const to =
      placeIn(document.state.layers, relative.id) ??
      simulator.refuse('move: a layer cannot go next to itself');
    to.list.splice(to.at, 0, layer);
    // A layer between a base and its clipped layers joins the clipping group.
    if (to.list[to.at - 1]?.clipped) layer.clipped = true;
  }

  async duplicate(): Promise<Layer> {
    const { simulator, document } = this;
    simulator.changeDOM(document, 'duplicate');
    const renumber = (layer: LayerState): LayerState => ({
      ...layer,
      id: simulator.newId(),
      children: layer.children.map(renumber),
    });
    const copy = renumber(copyLayer(this.#state));
    const { list, at } = placeIn(document.state.layers, this.id)!;
    list.splice(at, 0, copy);
    // Several selected layers stay selected, along with the copy.
    const { active } = document.state;
    document.state.active = active.length > 1 ? [copy.id, ...active] : [copy.id];
    return new SimulatedLayer(simulator, document, copy.id);
  }

  async delete(): Promise<void> {
    const { simulator, document } = this;
    simulator.changeDOM(document, 'delete');
    if (this.#state.locked) simulator.refuse('delete: the layer is locked');
    const { list, at } = placeIn(document.state.layers, this.id)!;
    list.splice(at, 1);
    const next = list[Math.min(at, list.length - 1)];
    document.state.active = next ? [next.id] : [];
  }

  /** Merges the selected layers, whichever layer it is called on. */
  async merge(): Promise<Layer> {
    const { simulator, document } = this;
    simulator.changeDOM(document, 'merge');
    const { state, space } = document;
    const chosen = state.active.map((id) => simulator.layerOf(document, id));
    const [only] = chosen;
    if (!only) simulator.refuse('merge: no layer is selected');
    for (const layer of chosen.flatMap(withChildren)) {
      if (layer.locked) simulator.refuse(`merge: “${layer.name}” is locked`);
    }
    if (chosen.some(({ visible }) => !visible)) simulator.refuse('merge: a selected layer is hidden');
    const first = placeIn(state.layers, only!.id)!;
    if (chosen.length === 1 && only!.kind !== 'group') {
      const below =
        first.list[first.at + 1] ?? simulator.refuse('merge: there is nothing below to merge with');
      chosen.push(below as LayerState);
    }
    const bounds = joined(chosen.map(boundsOf));
    const pixels = flatten(
      [...chosen].map((layer) => ({ ...layer, clipped: false })),
      space,
      bounds,
    );
    const merged: LayerState = { ...newLayer(simulator.newId(), only!.name), pixels };
    first.list.splice(first.at, 0, merged);
    for (const { id } of chosen) {
      const place = placeIn(state.layers, id);
      place?.list.splice(place.at, 1);
    }
    state.active = [merged.id];
    return new SimulatedLayer(simulator, document, merged.id);
  }
}

function withChildren(layer: LayerState): LayerState[] {
  return [layer, ...layer.children.flatMap(withChildren)];
}

export function groupOf(
  layers: readonly LayerState[],
  id: number,
  group?: LayerState,
): LayerState | undefined {
  for (const layer of layers) {
    if (layer.id === id) return group;
    const found = groupOf(layer.children, id, layer);
    if (found) return found;
  }
  return undefined;
}

/** Nothing new can go into a locked group. */
function refuseLocked(simulator: Simulator, { state }: OpenDocument, id: number, name: string): void {
  for (let group = groupOf(state.layers, id); group; group = groupOf(state.layers, group.id)) {
    if (group.locked) simulator.refuse(`${name}: the group “${group.name}” is locked`);
  }
}

export class SimulatedDocument implements PhotoshopDocument {
  constructor(
    readonly simulator: Simulator,
    readonly open: OpenDocument,
  ) {}

  get id(): number {
    return this.open.id;
  }
  get name(): string {
    return this.simulator.open(this.open).name;
  }
  get width(): number {
    return this.open.width;
  }
  get height(): number {
    return this.open.height;
  }
  get mode(): string {
    return this.open.modeName;
  }
  get bitsPerChannel(): string {
    return `bitDepth${this.open.space.depth}`;
  }
  get layers(): readonly Layer[] {
    this.simulator.layerLists++;
    return this.open.state.layers.map(({ id }) => this.#layer(id));
  }
  get activeLayers(): readonly Layer[] {
    return this.open.state.active.map((id) => this.#layer(id));
  }
  get selection(): { readonly bounds: Rectangle | null } {
    this.simulator.open(this.open);
    return { bounds: this.open.state.selection?.bounds ?? null };
  }
  get quickMaskMode(): boolean {
    return this.open.quickMask !== undefined;
  }
  get channels(): readonly Channel[] {
    const components = componentNames[this.open.space.mode].map((name) => ({ name, kind: 'component' }));
    const kind = constants.ChannelType.MASKEDAREA;
    return [...components, ...this.open.state.channels.map(({ name }) => ({ name, kind }))];
  }

  #layer(id: number): Layer {
    return new SimulatedLayer(this.simulator, this.open, id);
  }

  async createPixelLayer({ name }: { readonly name: string }): Promise<Layer> {
    this.simulator.changeDOM(this.open, 'make layer');
    const { state } = this.open;
    const id = this.simulator.newId();
    const layer = newLayer(id, name);
    // Above the active layer, and into a group that is active; without an active layer at the top.
    const active = state.active[0];
    const group = active === undefined ? undefined : find(state.layers, active);
    const place = active === undefined ? undefined : placeIn(state.layers, active);
    if (group) refuseLocked(this.simulator, this.open, group.id, 'make layer');
    if (group?.kind === 'group') {
      if (group.locked) this.simulator.refuse(`make layer: the group “${group.name}” is locked`);
      group.children.unshift(layer);
    } else if (place) {
      // Where the active layer is clipped, or others are clipped to it, the new one is clipped as well.
      layer.clipped = group!.clipped || place.list[place.at - 1]?.clipped === true;
      place.list.splice(place.at, 0, layer);
    } else state.layers.unshift(layer);
    state.active = [id];
    return this.#layer(id);
  }

  async createLayerGroup(options: {
    readonly name: string;
    readonly fromLayers: readonly Layer[];
  }): Promise<Layer> {
    this.simulator.changeDOM(this.open, 'make group');
    const { layers } = this.open.state;
    const ids = options.fromLayers.map(({ id }) => id);
    const places = ids.map((id) => placeIn(layers, id) ?? this.simulator.refuse('make group: no such layer'));
    const list = places[0]!.list;
    if (places.some((place) => place.list !== list))
      this.simulator.refuse('make group: layers of several groups');
    const at = Math.min(...places.map((place) => place.at));
    const children = list.filter(({ id }) => ids.includes(id));
    for (const child of children) list.splice(list.indexOf(child), 1);
    const group: LayerState = { ...newLayer(this.simulator.newId(), options.name), kind: 'group', children };
    list.splice(at, 0, group);
    this.open.state.active = [group.id];
    return this.#layer(group.id);
  }
}
