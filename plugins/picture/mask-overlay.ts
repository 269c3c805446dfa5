import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf } from '../../shared/bounds.ts';
import { context, newCanvas } from './decode.ts';
import type { PaintMask } from './mask-edit.ts';

/** Visible on skin, sky and grass, light or dark. */
const tint = { red: 255, green: 45, blue: 120 } as const;

/**
 * A mask as a tinted canvas, updated region by region: redrawing a large one takes longer than a stroke may.
 */
export function createMaskOverlay() {
  let overlay: { readonly mask: PaintMask; readonly canvas: HTMLCanvasElement } | undefined;

  return {
    canvasOf(mask: PaintMask): HTMLCanvasElement {
      if (overlay?.mask !== mask) {
        overlay = { mask, canvas: newCanvas(mask.width, mask.height) };
        tintMask(overlay.canvas, mask, boundsOf(mask));
      }
      return overlay.canvas;
    },

    /** Marks a region of the mask as changed. */
    changed(mask: PaintMask, bounds: Bounds | undefined): void {
      if (bounds && overlay?.mask === mask) tintMask(overlay.canvas, mask, bounds);
    },
  };
}

function tintMask(canvas: HTMLCanvasElement, mask: PaintMask, { left, top, width, height }: Bounds): void {
  if (width === 0 || height === 0) return;
  const pixels = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = (y * width + x) * 4;
      pixels.data[to] = tint.red;
      pixels.data[to + 1] = tint.green;
      pixels.data[to + 2] = tint.blue;
      pixels.data[to + 3] = mask.data[(top + y) * mask.width + left + x]!;
    }
  }
  context(canvas).putImageData(pixels, left, top);
}
