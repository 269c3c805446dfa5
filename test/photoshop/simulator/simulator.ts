/** A simulated Photoshop's state, and its rules for modal scopes, history and pixel resources. */
import type {
  ExecutionContext,
  PhotoshopImageData,
  Rectangle,
  Samples,
} from '../../../plugins/photoshop/api.ts';
import type { Depth, Mode, Space } from './colours.ts';
import { copyState, type DocumentState, find, type LayerState, none, type Plane } from './documents.ts';

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
  ChannelType: { MASKEDAREA: 'maskedAreaAlphaChannel', SELECTEDAREA: 'selectedAreaAlphaChannel' },
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
  /**
   * What is painted in Quick Mask mode; undefined outside of it. A mode, not a change: rollback does not
   * touch it.
   */
  quickMask: Plane | undefined;
  /** The states undo returns to, oldest first. */
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
  /** Every refusal, so that a test sees those a plugin swallowed. */
  readonly refusals: string[] = [];
  readonly images = new Set<LentImage>();
  mostImages = 0;
  /** The number of modal scopes entered. */
  scopes = 0;
  /** While another plugin or a dialog holds the modal state. */
  heldElsewhere = false;
  /** The person presses Cancel after this many calls inside the next modal scope. */
  cancelAfter: number | undefined;
  /** A call of this name fails, as with a full scratch disk. */
  failing: string | undefined;
  /** Layers that have no XMP throw when it is read; with this, the others do as well. */
  xmpReadFails = false;
  /** As in documents where Photoshop answers -1715. */
  xmpWriteFails = false;
  /** Public plugins disagree: for some, putLayerMask makes a mask, for others there has to be one. */
  masksMustExist = false;
  /** What is not known of a rollback: with this, it leaves the selection, and which layers are selected. */
  rollbackForgets = false;
  /** How often all layers were listed, which is slow in large documents. */
  layerLists = 0;
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

  /** Every host call passes through here, and fails once the person has cancelled. */
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

  /** What changes which layers are selected: inside a modal scope, and no undo step. */
  choose(document: OpenDocument, name: string): void {
    this.call(name);
    if (!this.isModal) this.refuse(`Event: ${name} is only allowed from inside a modal scope`);
    if (this.active !== document) this.refuse(`${name}: “${document.name}” is not the active document`);
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
    if (commit) {
      document.history.push({ name, before });
      return;
    }
    const { selection, active } = document.state;
    document.state = before;
    if (!this.rollbackForgets) return;
    document.state.selection = selection;
    document.state.active = active.filter((layer) => find(document.state.layers, layer));
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

/** Pixels lent by Photoshop until disposed of. */
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

export function canvasOf({ width, height }: OpenDocument): Rectangle {
  return { left: 0, top: 0, right: width, bottom: height };
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
    opacity: 100,
    blendMode: 'normal',
    xmp: '',
    pixels: { bounds: none, data: new Uint8Array(0) },
    mask: undefined,
    children: [],
  };
}

export function modeNameOf(mode: Mode): string {
  return constants.DocumentMode[mode];
}
