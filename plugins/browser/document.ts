import { computed, signal } from '@preact/signals';
import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, type Size } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import { cutMask, maskBounds } from '../../shared/mask.ts';
import type { Capture, Picture, Placement } from '../panel/host.ts';
import { surroundings } from '../panel/surroundings.ts';
import { createEditableMask, type EditableMask, type MaskEdit } from '../picture/mask-edit.ts';
import { withEightBits } from '../picture/pixels.ts';
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
  readonly mask: EditableMask;
}

/** The picture open in the page, its mask, and the kept results. */
export function createDocument() {
  const open = signal<OpenPicture | undefined>(undefined);
  const layers = signal<readonly Layer[]>([]);
  const hasMask = signal(false);
  const savedLayers = signal<readonly Layer[]>([]);
  const history = createHistory();

  /** Each change a person makes to the mask is one undo step. */
  function maskOf(size: Size, data: Uint8Array<ArrayBuffer> | undefined): EditableMask {
    const mask = createEditableMask(size, data, ({ bounds, before, after }) => {
      // The stroke was on a picture that has since been replaced.
      if (open.value?.mask !== mask) return;
      const bytes = before.length + after.length;
      const put = (patch: Uint8Array) => () => putMask(mask, bounds, patch);
      history.push({ bytes, undo: put(before), redo: put(after) });
      lookForMask(mask);
    });
    return mask;
  }

  function putMask(mask: EditableMask, bounds: Bounds, patch: Uint8Array): void {
    mask.put(bounds, patch);
    lookForMask(mask);
  }

  function lookForMask(mask: EditableMask): void {
    hasMask.value = maskBounds(mask) !== undefined;
  }

  function mapMask(value: (before: number) => number): void {
    const edit = editMask();
    if (!edit) return;
    edit.before.forEach((before, i) => {
      edit.mask.data[i] = value(before);
    });
    edit.touch(boundsOf(edit.mask));
    edit.commit();
  }

  function editMask(): MaskEdit | undefined {
    return open.value?.mask.edit();
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
    hasMask,
    history,
    /** Whether kept results would be lost. */
    unsaved: computed(() => layers.value.length > 0 && layers.value !== savedLayers.value),

    openPicture(name: string, picture: Picture, maskData?: Uint8Array<ArrayBuffer>): void {
      const mask = maskOf(picture, maskData);
      history.clear();
      layers.value = [];
      savedLayers.value = [];
      open.value = { name, picture, mask };
      lookForMask(mask);
    },

    markSaved(): void {
      savedLayers.value = layers.value;
    },

    /** Returns undefined if nothing is open. */
    editMask,
    clearMask: () => mapMask(() => 0),
    invertMask: () => mapMask((value) => 255 - value),
    fillMask: () => mapMask(() => 255),

    /** Makes a kept result the top layer and clears the mask, as one undo step. */
    place({ name, bounds, layer }: Placement): void {
      const mask = open.value?.mask;
      if (!mask) return;

      const before = { layers: layers.value, mask: mask.data.slice() };
      const added = { id: crypto.randomUUID(), name, bounds, picture: withEightBits(layer), visible: true };
      const redo = (): void => {
        layers.value = [...before.layers, added];
        putMask(mask, boundsOf(mask), new Uint8Array(mask.data.length));
      };
      const undo = (): void => {
        layers.value = before.layers;
        putMask(mask, boundsOf(mask), before.mask);
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
     * What is visible and masked now. Only the mask's surroundings are sent, so a mask in a huge picture
     * costs little.
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
