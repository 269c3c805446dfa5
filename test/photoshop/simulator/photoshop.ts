/** Photoshop as a plugin sees it, refusing what Photoshop refuses (as far as it is documented). */
import type {
  Descriptor,
  ExecutionContext,
  GetPixels,
  Imaging,
  Layer,
  PhotoshopDocument,
  PhotoshopImageData,
  PhotoshopModule,
  Read,
  Rectangle,
  Samples,
} from '../../../plugins/photoshop/api.ts';
import { channelsOf, type Depth, type Mode, quantise, type Space, samples, whiteOf } from './colours.ts';
import {
  asSRGB,
  boundsOf,
  copyLayer,
  copyState,
  type DocumentState,
  find,
  flatten,
  fromSRGBPlane,
  heightOf,
  isNothing,
  joined,
  type LayerState,
  none,
  type Plane,
  placeIn,
  shared,
  widthOf,
} from './documents.ts';

export const constants = {
  DocumentMode: {
    RGB: 'RGBColorMode',
    GRAYSCALE: 'grayscaleMode',
    LAB: 'labColorMode',
    CMYK: 'CMYKColorMode',
  },
  BitsPerChannelType: { EIGHT: 'bitDepth8', SIXTEEN: 'bitDepth16', THIRTYTWO: 'bitDepth32' },
  ElementPlacement: { PLACEBEFORE: 'placeBefore' },
  LayerKind: { GROUP: 'group' },
} as const;

export class PhotoshopError extends Error {
  constructor(
    message: string,
    readonly number = -1,
  ) {
    super(message);
  }
}

export interface OpenDocument {
  id: number;
  name: string;
  width: number;
  height: number;
  /** As Photoshop names it where it is none of the four that have layers. */
  modeName: string;
  space: Space;
  state: DocumentState;
  /** What undo goes back to, the oldest first. */
  history: { name: string; before: DocumentState }[];
}

interface Suspension {
  readonly id: number;
  readonly document: OpenDocument;
  readonly name: string;
  readonly before: DocumentState;
}

export class Simulator {
  readonly documents: OpenDocument[] = [];
  active: OpenDocument | undefined;
  /** Every refusal, so that a test sees those that a plugin swallowed. */
  readonly refusals: string[] = [];
  readonly images = new Set<LentImage>();
  mostImages = 0;
  /** Modal scopes that were entered. */
  scopes = 0;
  /** While another plugin or a dialog holds the modal state. */
  heldElsewhere = false;
  /** After so many calls inside the next modal scope the person presses Cancel. */
  cancelAfter: number | undefined;
  /** A call of this name fails, as of a full scratch disk. */
  failing: string | undefined;
  #nextId = 1;
  #context: { isCancelled: boolean; calls: number } | undefined;
  #suspensions: Suspension[] = [];
  readonly #listeners: (() => void)[] = [];

  get isModal(): boolean {
    return this.#context !== undefined;
  }

  newId(): number {
    return this.#nextId++;
  }

  refuse(message: string, number?: number): never {
    this.refusals.push(message);
    throw new PhotoshopError(message, number);
  }

  /** Every call of the host passes here: it is over as soon as the person cancels. */
  call(name: string): void {
    if (this.failing === name) this.refuse(`${name}: the scratch disk is full`);
    const context = this.#context;
    if (!context) return;
    context.calls++;
    if (this.cancelAfter !== undefined && context.calls > this.cancelAfter) context.isCancelled = true;
    if (context.isCancelled) this.refuse(`${name}: the user cancelled`, 8007);
  }

  /** A change of the document: only inside a modal scope, and an undo step unless history is suspended. */
  change(document: OpenDocument, name: string): void {
    this.call(name);
    if (!this.isModal) {
      this.refuse(
        `Event: ${name} may modify the state of Photoshop. Such events are only allowed from inside a modal scope`,
      );
    }
    this.open(document);
    if (this.#suspensions.some((suspension) => suspension.document === document)) return;
    document.history.push({ name, before: copyState(document.state) });
  }

  /** Parts of the DOM only work on the active document. */
  changeDOM(document: OpenDocument, name: string): void {
    this.change(document, name);
    if (this.active !== document) this.refuse(`${name}: “${document.name}” is not the active document`);
  }

  open(document: OpenDocument | undefined): OpenDocument {
    if (!document || !this.documents.includes(document)) this.refuse('the document does not exist');
    return document as OpenDocument;
  }

  documentOf(id: number): OpenDocument {
    return this.open(this.documents.find((document) => document.id === id));
  }

  layerOf(document: OpenDocument, id: number): LayerState {
    return find(document.state.layers, id) ?? this.refuse(`the layer ${id} does not exist`);
  }

  notify(): void {
    for (const listener of this.#listeners) listener();
  }

  async executeAsModal<T>(work: (context: ExecutionContext) => Promise<T>, commandName: string): Promise<T> {
    if (!commandName) this.refuse('executeAsModal: commandName is missing');
    if (this.isModal || this.heldElsewhere) this.refuse('host is in a modal state', 9);
    const context = { isCancelled: false, calls: 0 };
    this.#context = context;
    this.scopes++;
    // Photoshop enters the scope later, not in the same turn.
    await Promise.resolve();
    try {
      return await work({
        get isCancelled() {
          return context.isCancelled;
        },
        hostControl: {
          suspendHistory: async ({ documentID, name }) => {
            this.call('suspendHistory');
            const document = this.documentOf(documentID);
            if (this.#suspensions.some((other) => other.document === document)) {
              this.refuse('suspendHistory: the history of this document is suspended already');
            }
            const id = this.newId();
            this.#suspensions.push({ id, document, name, before: copyState(document.state) });
            return id;
          },
          resumeHistory: async (id, commit) => this.#resume(id, commit),
        },
      });
    } finally {
      // A scope that ends with a suspended history is rolled back.
      for (const { id } of [...this.#suspensions]) this.#resume(id, false);
      this.#context = undefined;
      this.cancelAfter = undefined;
    }
  }

  #resume(id: number, commit: boolean): void {
    const at = this.#suspensions.findIndex((suspension) => suspension.id === id);
    const [suspension] = at < 0 ? [] : this.#suspensions.splice(at, 1);
    const { document, name, before } = suspension ?? this.refuse(`resumeHistory: ${id} is not suspended`);
    if (commit) document.history.push({ name, before });
    else document.state = before;
  }

  listen(listener: () => void): void {
    this.#listeners.push(listener);
  }

  lend(image: Omit<LentImageParts, 'simulator'>): LentImage {
    const lent = new LentImage({ ...image, simulator: this });
    this.images.add(lent);
    this.mostImages = Math.max(this.mostImages, this.images.size);
    return lent;
  }
}

interface LentImageParts {
  readonly simulator: Simulator;
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly componentSize: Depth;
  readonly colorSpace: string;
  readonly data: Samples;
}

/** Pixels that Photoshop lends, until they are disposed of. */
export class LentImage implements PhotoshopImageData {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly componentSize: Depth;
  readonly colorSpace: string;
  readonly #simulator: Simulator;
  readonly #data: Samples;
  #isDisposed = false;

  constructor({ simulator, width, height, components, componentSize, colorSpace, data }: LentImageParts) {
    this.width = width;
    this.height = height;
    this.components = components;
    this.componentSize = componentSize;
    this.colorSpace = colorSpace;
    this.#simulator = simulator;
    this.#data = data;
  }

  /** Its samples, for Photoshop itself. */
  get samples(): Samples {
    if (this.#isDisposed) this.#simulator.refuse('the image data was disposed of');
    return this.#data;
  }

  async getData(options: { readonly chunky: true }): Promise<Samples> {
    if (!options?.chunky) this.#simulator.refuse('getData: the simulator gives chunky data alone');
    return this.samples.slice();
  }

  dispose(): void {
    if (this.#isDisposed) this.#simulator.refuse('dispose: the image data was disposed of before');
    this.#isDisposed = true;
    this.#simulator.images.delete(this);
  }
}

function requestedBounds(simulator: Simulator, bounds: Rectangle | undefined, whole: Rectangle): Rectangle {
  if (!bounds) return whole;
  const numbers = [bounds.left, bounds.top, bounds.right, bounds.bottom];
  if (!numbers.every(Number.isInteger) || isNothing(bounds)) {
    simulator.refuse(`the bounds ${numbers.join(', ')} are not a rectangle of pixels`);
  }
  return bounds;
}

function cut(plane: Plane, channels: number, bounds: Rectangle): Plane {
  const width = widthOf(bounds);
  const data = plane.data.slice(0, 0).constructor as new (length: number) => Samples;
  const part = new data(width * heightOf(bounds) * channels);
  for (let y = bounds.top; y < bounds.bottom; y++) {
    const from =
      ((y - plane.bounds.top) * widthOf(plane.bounds) + bounds.left - plane.bounds.left) * channels;
    part.set(plane.data.subarray(from, from + width * channels), (y - bounds.top) * width * channels);
  }
  return { bounds, data: part };
}

/** Nearest neighbour: what a smaller size looks like is not what is tested. */
function scale(data: Samples, components: number, from: [number, number], to: [number, number]): Samples {
  const Kind = data.constructor as new (length: number) => Samples;
  const scaled = new Kind(to[0] * to[1] * components);
  for (let y = 0; y < to[1]; y++) {
    for (let x = 0; x < to[0]; x++) {
      const source = Math.floor((y * from[1]) / to[1]) * from[0] + Math.floor((x * from[0]) / to[0]);
      for (let c = 0; c < components; c++)
        scaled[(y * to[0] + x) * components + c] = data[source * components + c]!;
    }
  }
  return scaled;
}

export function canvasOf({ width, height }: OpenDocument): Rectangle {
  return { left: 0, top: 0, right: width, bottom: height };
}

function allLeaves(layers: readonly LayerState[]): LayerState[] {
  return layers.flatMap((layer) => (layer.kind === 'group' ? allLeaves(layer.children) : [layer]));
}

export function createImaging(simulator: Simulator): Imaging {
  function getPixels(options: GetPixels): Read {
    simulator.call('getPixels');
    const document = simulator.documentOf(options.documentID);
    const { space } = document;
    if (options.colorSpace !== 'RGB') simulator.refuse(`getPixels: no color space ${space.mode} here`);
    if (options.colorProfile !== 'sRGB IEC61966-2.1') simulator.refuse('getPixels: unknown color profile');
    if (options.componentSize !== 8 && options.componentSize !== 16) {
      simulator.refuse('getPixels: the simulator gives 8 or 16 bits');
    }
    const channels = channelsOf[space.mode] + 1;
    let plane: Plane;
    let hasAlpha: boolean;
    if (options.layerID === undefined) {
      const visible = allLeaves(document.state.layers).filter((layer) => layer.visible);
      const whole = shared(joined(visible.map(boundsOf)), canvasOf(document));
      const bounds = shared(requestedBounds(simulator, options.sourceBounds, whole), whole);
      if (isNothing(bounds)) simulator.refuse('getPixels: there are no pixels inside the bounds');
      plane = flatten(document.state.layers, space, bounds);
      hasAlpha = !document.state.layers.some((layer) => layer.isBackground && layer.visible);
    } else {
      const layer = simulator.layerOf(document, options.layerID);
      if (layer.kind === 'group') simulator.refuse('getPixels: a group has no pixels');
      const bounds = shared(
        requestedBounds(simulator, options.sourceBounds, boundsOf(layer)),
        boundsOf(layer),
      );
      if (isNothing(bounds)) simulator.refuse('getPixels: there are no pixels inside the bounds');
      plane = cut(layer.pixels, channels, bounds);
      hasAlpha = !layer.isBackground;
    }
    const withAlpha = hasAlpha && !options.applyAlpha;
    const components = withAlpha ? 4 : 3;
    let data = asSRGB(plane, space, options.componentSize, withAlpha);
    let [width, height] = [widthOf(plane.bounds), heightOf(plane.bounds)];
    let sourceBounds = plane.bounds;
    if (options.targetSize) {
      const { targetSize } = options;
      const factor = targetSize.width ? targetSize.width / width : targetSize.height! / height;
      const size: [number, number] = [
        Math.max(1, Math.round(width * factor)),
        Math.max(1, Math.round(height * factor)),
      ];
      data = scale(data, components, [width, height], size);
      [width, height] = size;
      // Relative to the pyramid level, half the size at least: of no use as a place in the document.
      const half = (value: number): number => Math.floor(value / 2);
      sourceBounds = {
        left: half(sourceBounds.left),
        top: half(sourceBounds.top),
        right: half(sourceBounds.right),
        bottom: half(sourceBounds.bottom),
      };
    }
    const componentSize = options.componentSize;
    return {
      imageData: simulator.lend({ width, height, components, componentSize, colorSpace: 'RGB', data }),
      sourceBounds,
    };
  }

  function readPlane(plane: Plane, asked: Rectangle | undefined, space: Space): Read {
    const bounds = shared(requestedBounds(simulator, asked, plane.bounds), plane.bounds);
    if (isNothing(bounds)) simulator.refuse('there are no pixels inside the bounds');
    const componentSize = space.depth;
    const [width, height] = [widthOf(bounds), heightOf(bounds)];
    const { data } = cut(plane, 1, bounds);
    return {
      imageData: simulator.lend({
        width,
        height,
        components: 1,
        componentSize,
        colorSpace: 'Grayscale',
        data,
      }),
      sourceBounds: bounds,
    };
  }

  /** A mask or a selection out of image data, which has to be grey and of the document's depth. */
  function greyPlane(
    document: OpenDocument,
    image: PhotoshopImageData,
    at: { readonly left: number; readonly top: number },
  ): Plane {
    const lent = image as LentImage;
    if (lent.components !== 1 || lent.colorSpace !== 'Grayscale')
      simulator.refuse('a mask has one grey component');
    const { width, height } = lent;
    const white = whiteOf(lent.componentSize);
    const { depth } = document.space;
    const data = samples(lent.samples.length, depth);
    for (let i = 0; i < data.length; i++) data[i] = quantise(lent.samples[i]! / white, depth);
    return { bounds: { ...at, right: at.left + width, bottom: at.top + height }, data };
  }

  return {
    getPixels: async (options) => getPixels(options),

    putPixels: async ({ documentID, layerID, imageData, replace, targetBounds: { left, top } }) => {
      const document = simulator.documentOf(documentID);
      simulator.change(document, 'putPixels');
      const layer = simulator.layerOf(document, layerID);
      if (layer.kind !== 'pixel') simulator.refuse(`putPixels: “${layer.name}” is not a pixel layer`);
      if (layer.locked || layer.isBackground) simulator.refuse(`putPixels: “${layer.name}” is locked`);
      const lent = imageData as LentImage;
      const data = lent.samples;
      if (lent.componentSize !== document.space.depth) {
        simulator.refuse(
          `putPixels: ${lent.componentSize} bits do not fit a document of ${document.space.depth}`,
        );
      }
      if (lent.colorSpace !== 'RGB') simulator.refuse('putPixels: the simulator takes RGB');
      if (!replace) simulator.refuse('putPixels: the simulator replaces');
      layer.pixels = {
        bounds: { left, top, right: left + lent.width, bottom: top + lent.height },
        data: fromSRGBPlane(data, lent.components, lent.componentSize, document.space),
      };
    },

    getLayerMask: async ({ documentID, layerID }) => {
      simulator.call('getLayerMask');
      const document = simulator.documentOf(documentID);
      const { mask, name } = simulator.layerOf(document, layerID);
      return readPlane(mask ?? simulator.refuse(`“${name}” has no mask`), undefined, document.space);
    },

    putLayerMask: async ({ documentID, layerID, imageData, replace, targetBounds }) => {
      const document = simulator.documentOf(documentID);
      simulator.change(document, 'putLayerMask');
      const layer = simulator.layerOf(document, layerID);
      if (layer.isBackground) simulator.refuse('putLayerMask: the background has no mask');
      if (!layer.mask && !replace) simulator.refuse('putLayerMask: there is no mask to add to');
      layer.mask = greyPlane(document, imageData, targetBounds);
    },

    getSelection: async ({ documentID, sourceBounds }) => {
      simulator.call('getSelection');
      const document = simulator.documentOf(documentID);
      const { selection } = document.state;
      return readPlane(
        selection ?? simulator.refuse('getSelection: nothing is selected'),
        sourceBounds,
        document.space,
      );
    },

    putSelection: async ({ documentID, imageData, targetBounds }) => {
      const document = simulator.documentOf(documentID);
      simulator.change(document, 'putSelection');
      document.state.selection = trimmed(greyPlane(document, imageData, targetBounds));
    },

    createImageDataFromBuffer: async (data, options) => {
      simulator.call('createImageDataFromBuffer');
      const { width, height, components, colorSpace, colorProfile } = options;
      if (data.length !== width * height * components) {
        simulator.refuse(
          `createImageDataFromBuffer: ${data.length} samples are not ${width} x ${height} x ${components}`,
        );
      }
      const profile = colorSpace === 'RGB' ? 'sRGB IEC61966-2.1' : 'Gray Gamma 2.2';
      if (colorProfile !== profile) simulator.refuse('createImageDataFromBuffer: unknown color profile');
      const componentSize = data instanceof Uint8Array ? 8 : data instanceof Uint16Array ? 16 : 32;
      if (componentSize === 16 && data.some((value) => value > 32768)) {
        simulator.refuse('createImageDataFromBuffer: 16 bits run from 0 to 32768');
      }
      return simulator.lend({ width, height, components, componentSize, colorSpace, data: data.slice() });
    },

    encodeImageData: async ({ imageData }) => {
      simulator.call('encodeImageData');
      const lent = imageData as LentImage;
      if (lent.components !== 3 || lent.componentSize !== 8)
        simulator.refuse('encodeImageData: RGB of 8 bits alone');
      return grayJPEG(lent.samples);
    },
  };
}

/** The smallest JPEG there is, grey: an encoder is not what is tested. */
function grayJPEG(data: Samples): string {
  if (data.length === 0) throw new PhotoshopError('encodeImageData: no pixels');
  return '/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AKp//2Q==';
}

/** A selection is as large as what it selects; none at all where that is nothing. */
export function trimmed(plane: Plane): Plane | undefined {
  const { bounds, data } = plane;
  const width = widthOf(bounds);
  let [left, top, right, bottom] = [bounds.right, bounds.bottom, bounds.left, bounds.top];
  for (let i = 0; i < data.length; i++) {
    if (data[i] === 0) continue;
    const [x, y] = [bounds.left + (i % width), bounds.top + Math.floor(i / width)];
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return left < right ? cut(plane, 1, { left, top, right, bottom }) : undefined;
}

class SimulatedLayer implements Layer {
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
  get isClippingMask(): boolean {
    return this.#state.clipped;
  }
  get boundsNoEffects(): Rectangle {
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
    const target = groupOf(document.state.layers, relative.id);
    for (let group = target; group; group = groupOf(document.state.layers, group.id)) {
      if (group.locked) simulator.refuse(`move: the group “${group.name}” is locked`);
    }
    const from = placeIn(document.state.layers, this.id)!;
    from.list.splice(from.at, 1);
    const to = placeIn(document.state.layers, relative.id);
    if (!to) simulator.refuse('move: a layer cannot go next to itself');
    to!.list.splice(to!.at, 0, layer);
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
    document.state.active = [copy.id];
    return new SimulatedLayer(simulator, document, copy.id);
  }

  async merge(): Promise<Layer> {
    const { simulator, document } = this;
    simulator.changeDOM(document, 'merge');
    const layer = this.#state;
    if (layer.kind !== 'group') simulator.refuse('merge: the simulator merges groups alone');
    if (!layer.visible) simulator.refuse('merge: the group is hidden');
    const pixels = flatten(layer.children, document.space, boundsOf(layer));
    const id = simulator.newId();
    const merged: LayerState = { ...layer, id, kind: 'pixel', children: [], pixels };
    const { list, at } = placeIn(document.state.layers, this.id)!;
    list.splice(at, 1, merged);
    return new SimulatedLayer(simulator, document, id);
  }
}

function groupOf(layers: readonly LayerState[], id: number, group?: LayerState): LayerState | undefined {
  for (const layer of layers) {
    if (layer.id === id) return group;
    const found = groupOf(layer.children, id, layer);
    if (found) return found;
  }
  return undefined;
}

class SimulatedDocument implements PhotoshopDocument {
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
    return this.open.state.layers.map(({ id }) => this.#layer(id));
  }
  get activeLayers(): readonly Layer[] {
    return this.open.state.active.map((id) => this.#layer(id));
  }
  get selection(): { readonly bounds: Rectangle | null } {
    this.simulator.open(this.open);
    return { bounds: this.open.state.selection?.bounds ?? null };
  }

  #layer(id: number): Layer {
    return new SimulatedLayer(this.simulator, this.open, id);
  }

  async createPixelLayer({ name }: { readonly name: string }): Promise<Layer> {
    this.simulator.changeDOM(this.open, 'make layer');
    const { state } = this.open;
    const id = this.simulator.newId();
    const layer = newLayer(id, name);
    // Above the active layer, and into a group that is active.
    const active = state.active[0];
    const group = active === undefined ? undefined : find(state.layers, active);
    const place = active === undefined ? undefined : placeIn(state.layers, active);
    if (group?.kind === 'group') group.children.unshift(layer);
    else if (place) place.list.splice(place.at, 0, layer);
    else state.layers.unshift(layer);
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

export function newLayer(id: number, name: string): LayerState {
  return {
    id,
    name,
    kind: 'pixel',
    visible: true,
    locked: false,
    isBackground: false,
    clipped: false,
    xmp: '',
    pixels: { bounds: none, data: new Uint8Array(0) },
    mask: undefined,
    children: [],
  };
}

export function createPhotoshop(simulator: Simulator): PhotoshopModule {
  const wrap = (open: OpenDocument): PhotoshopDocument => new SimulatedDocument(simulator, open);
  return {
    app: {
      get activeDocument() {
        return simulator.active ? wrap(simulator.active) : null;
      },
      set activeDocument(document: PhotoshopDocument | null) {
        if (!simulator.isModal) simulator.refuse('activeDocument: only inside a modal scope');
        simulator.active = simulator.documentOf(document?.id ?? -1);
      },
      get documents() {
        return simulator.documents.map(wrap);
      },
    },
    core: {
      executeAsModal: (work, { commandName }) => simulator.executeAsModal(work, commandName),
    },
    action: {
      batchPlay: async (commands) => commands.map((command) => play(simulator, command)),
      addNotificationListener: async (_events, listener) => simulator.listen(listener),
    },
    imaging: createImaging(simulator),
    constants,
  };
}

const property = 'XMPMetadataAsUTF8';

/** The commands that are known: to select nothing, and to read and write the XMP packet of a layer. */
function play(simulator: Simulator, command: Descriptor): Descriptor {
  const target = command._target as readonly Record<string, unknown>[];
  const idOf = (kind: string): number => Number(target.find(({ _ref }) => _ref === kind)?._id);
  if (target[0]?._property === 'selection' && (command.to as Descriptor)._value === 'none') {
    const document = simulator.active ?? simulator.refuse('set: no document is active');
    simulator.change(document, 'set');
    document.state.selection = undefined;
    return {};
  }
  if (!target.some((part) => part._property === property)) {
    return { _obj: 'error', message: 'the command is not known', result: -128 };
  }
  const document = simulator.documentOf(idOf('document'));
  if (command._obj === 'get') {
    simulator.call('get');
    const { xmp } = simulator.layerOf(document, idOf('layer'));
    return xmp === '' ? {} : { [property]: xmp };
  }
  simulator.change(document, 'set');
  const packet = String((command.to as Descriptor)[property]);
  // As Photoshop does, the packet is parsed and written anew: what is not XMP is an error, a text becomes an attribute.
  const parsed = new DOMParser().parseFromString(packet, 'application/xml');
  const description = parsed.getElementsByTagNameNS(
    'http://www.w3.org/1999/02/22-rdf-syntax-ns#',
    'Description',
  )[0];
  if (!description) return { _obj: 'error', message: 'this is not an XMP packet', result: -1 };
  for (const child of [...description.children]) {
    description.setAttributeNS(child.namespaceURI, child.tagName, child.textContent ?? '');
    child.remove();
  }
  const layer = simulator.layerOf(document, idOf('layer'));
  layer.xmp = `<?xpacket begin="\ufeff"?>${new XMLSerializer().serializeToString(parsed)}<?xpacket end="w"?>`;
  return {};
}

export function modeNameOf(mode: Mode): string {
  return constants.DocumentMode[mode];
}
