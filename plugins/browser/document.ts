import { computed, signal } from '@preact/signals';
import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import { cutMask, maskBounds } from '../../shared/mask.ts';
import { type PaintMask, type Point, putPatch, strokeLine, union } from '../panel/canvas/brush.ts';
import type { Capture, Picture, Pixels, Placement } from '../panel/host.ts';
import { surroundings } from '../panel/surroundings.ts';
import { flatten } from './flatten.ts';
import { createHistory } from './history.ts';

export interface Layer {
  readonly id: string;
  readonly name: string;
  readonly bounds: Bounds;
  /** Its alpha is the feathered mask. */
  readonly picture: Picture;
  readonly visible: boolean;
}

export interface OpenPicture {
  readonly name: string;
  readonly picture: Picture;
  readonly mask: PaintMask;
}

/** The picture that is open in the page, its mask, and the results that were kept. */
export function createDocument() {
  const open = signal<OpenPicture | undefined>(undefined);
  const layers = signal<readonly Layer[]>([]);
  /** The part of the mask that changed last; a new object for every change. */
  const maskChange = signal<Bounds | undefined>(undefined);
  const hasMask = signal(false);
  const savedLayers = signal<readonly Layer[]>([]);
  const history = createHistory();
  let stroke: { before: Uint8Array<ArrayBuffer>; touched: Bounds | undefined; last: Point } | undefined;

  function changed(mask: PaintMask, bounds: Bounds): void {
    maskChange.value = { ...bounds };
    hasMask.value = maskBounds(mask) !== undefined;
  }

  /** Replaces a part of the mask, as one step that can be undone. */
  function replace(mask: PaintMask, bounds: Bounds, before: Uint8Array, after: Uint8Array): void {
    const put = (patch: Uint8Array) => () => {
      putPatch(mask, bounds, patch);
      changed(mask, bounds);
    };
    history.push({ bytes: before.length + after.length, undo: put(before), redo: put(after) });
    put(after)();
  }

  function mapMask(value: (before: number) => number): void {
    const mask = open.value?.mask;
    if (!mask) return;
    const before = mask.data.slice();
    replace(mask, boundsOf(mask), before, before.map(value));
  }

  function setLayers(next: readonly Layer[]): void {
    const before = layers.value;
    history.push({
      bytes: before
        .filter(({ picture }) => next.every((layer) => layer.picture !== picture))
        .reduce((sum, { picture }) => sum + picture.data.length, 0),
      undo: () => {
        layers.value = before;
      },
      redo: () => {
        layers.value = next;
      },
    });
    layers.value = next;
  }

  return {
    open,
    layers,
    maskChange,
    hasMask,
    history,
    /** Whether kept results would be lost. */
    unsaved: computed(() => layers.value.length > 0 && layers.value !== savedLayers.value),

    openPicture(name: string, picture: Picture, maskData?: Uint8Array<ArrayBuffer>): void {
      const { width, height } = picture;
      const mask = { width, height, data: maskData ?? new Uint8Array(width * height) };
      history.clear();
      stroke = undefined;
      layers.value = [];
      savedLayers.value = [];
      open.value = { name, picture, mask };
      changed(mask, boundsOf(mask));
    },

    markSaved(): void {
      savedLayers.value = layers.value;
    },

    /** Starts a stroke; `strokeTo` goes on with it and `endStroke` makes it one step that can be undone. */
    startStroke(at: Point, diameter: number, erase: boolean): void {
      const mask = open.value?.mask;
      if (!mask) return;
      stroke = { before: mask.data.slice(), touched: undefined, last: at };
      this.strokeTo(at, diameter, erase);
    },

    strokeTo(to: Point, diameter: number, erase: boolean): void {
      const mask = open.value?.mask;
      if (!mask || !stroke) return;
      const touched = strokeLine(mask, stroke.last, to, diameter, erase);
      stroke.last = to;
      stroke.touched = union(stroke.touched, touched);
      if (touched) maskChange.value = touched;
    },

    endStroke(): void {
      const mask = open.value?.mask;
      if (mask && stroke?.touched) {
        const before = cutMask({ ...mask, data: stroke.before }, stroke.touched).data;
        replace(mask, stroke.touched, before, cutMask(mask, stroke.touched).data);
      }
      stroke = undefined;
    },

    clearMask: () => mapMask(() => 0),
    invertMask: () => mapMask((value) => 255 - value),
    fillMask: () => mapMask(() => 255),

    /** A kept result becomes the highest layer, and the mask is used up: one step that can be undone. */
    place({ name, bounds, layer }: Placement): void {
      const mask = open.value?.mask;
      if (!mask) return;

      const before = { layers: layers.value, mask: mask.data.slice() };
      const added = { id: crypto.randomUUID(), name, bounds, picture: withEightBits(layer), visible: true };
      const redo = (): void => {
        layers.value = [...before.layers, added];
        mask.data.fill(0);
        changed(mask, boundsOf(mask));
      };
      const undo = (): void => {
        layers.value = before.layers;
        mask.data.set(before.mask);
        changed(mask, boundsOf(mask));
      };
      history.push({ bytes: before.mask.length + added.picture.data.length, undo, redo });
      redo();
    },

    toggleLayer(id: string): void {
      setLayers(
        layers.value.map((layer) => (layer.id === id ? { ...layer, visible: !layer.visible } : layer)),
      );
    },

    deleteLayer(id: string): void {
      setLayers(layers.value.filter((layer) => layer.id !== id));
    },

    /** The whole picture with its visible layers. */
    flattened(): Picture {
      const { picture } = opened(open.value);
      return flatten(picture, shown(layers.value), boundsOf(picture));
    },

    /**
     * What is visible and masked now. Only the mask's surroundings are sent: a mask in a huge picture costs little.
     * @throws CodedError `request-invalid` if nothing is open
     */
    capture(): Capture {
      const { picture, mask } = opened(open.value);
      const painted = maskBounds(mask);
      const window = painted ? surroundings(painted, picture) : boundsOf(picture);
      const edit = flatten(picture, shown(layers.value), window);
      return { edit, origin: window, ...(painted ? { mask: cutMask(mask, window).data } : {}) };
    },
  };
}

export type PageDocument = ReturnType<typeof createDocument>;

/** A layer of the page: it sends 8 bits, and gets as many. */
export function withEightBits({ width, height, data }: Pixels): Picture {
  if (data instanceof Uint8Array) return { width, height, data };
  throw new TypeError('the page takes no layer of 16 bits');
}

function shown(layers: readonly Layer[]): readonly Layer[] {
  return layers.filter(({ visible }) => visible);
}

function opened(open: OpenPicture | undefined): OpenPicture {
  if (open) return open;
  throw new CodedError('request-invalid', {
    detail: 'No picture is open.',
    remedy: 'Open a picture, or try the sample.',
  });
}
