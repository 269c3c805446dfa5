import { type ReadonlySignal, signal } from '@preact/signals';
import { type Bounds, boundsOf, type Size } from '../../shared/bounds.ts';
import { cutMask, type Mask } from '../../shared/mask.ts';

/** A mask that can be painted on: U8 `[height, width]`, 255 = regenerate. */
export interface PaintMask extends Mask {
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A region of a mask, before and after. */
export interface MaskChange {
  readonly bounds: Bounds;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/**
 * A mask change in progress. A tool writes to the mask and reports where; it ends as one undo step or none.
 */
export interface MaskEdit {
  readonly mask: PaintMask;
  /** The mask when the edit began, of the same size. */
  readonly before: Uint8Array;
  touch(bounds: Bounds | undefined): void;
  commit(): void;
  /** Restores the mask. */
  cancel(): void;
}

/** A mask and its changes. */
export interface EditableMask extends PaintMask {
  /** The region that changed last; a new object for each change. */
  readonly changed: ReadonlySignal<Bounds | undefined>;
  edit(): MaskEdit;
  /** Writes a region of the mask: a change's `after` to redo it, its `before` to undo it. */
  put(bounds: Bounds, data: Uint8Array): void;
}

/** @param onCommit called with each committed change, but not for `put` */
export function createEditableMask(
  size: Size,
  data = new Uint8Array(size.width * size.height),
  onCommit: (change: MaskChange) => void = () => {},
): EditableMask {
  const { width, height } = size;
  const changed = signal<Bounds | undefined>(boundsOf(size));
  const report = (bounds: Bounds): void => {
    changed.value = { ...bounds };
  };

  function put(bounds: Bounds, patch: Uint8Array): void {
    for (let y = 0; y < bounds.height; y++) {
      const row = patch.subarray(y * bounds.width, (y + 1) * bounds.width);
      data.set(row, (bounds.top + y) * width + bounds.left);
    }
    report(bounds);
  }

  const mask: EditableMask = {
    width,
    height,
    data,
    changed,
    put,

    edit(): MaskEdit {
      const before = data.slice();
      let touched: Bounds | undefined;
      const cutBefore = (bounds: Bounds) => cutMask({ width, height, data: before }, bounds).data;
      return {
        mask,
        before,
        touch(bounds) {
          if (!bounds) return;
          touched = touched ? union(touched, bounds) : bounds;
          report(bounds);
        },
        commit() {
          if (!touched) return;
          onCommit({ bounds: touched, before: cutBefore(touched), after: cutMask(mask, touched).data });
        },
        cancel() {
          if (touched) put(touched, cutBefore(touched));
        },
      };
    },
  };
  return mask;
}

/** The smallest rectangle around both. */
function union(a: Bounds, b: Bounds): Bounds {
  const left = Math.min(a.left, b.left);
  const top = Math.min(a.top, b.top);
  const right = Math.max(a.left + a.width, b.left + b.width);
  const bottom = Math.max(a.top + a.height, b.top + b.height);
  return { left, top, width: right - left, height: bottom - top };
}
