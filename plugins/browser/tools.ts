import { signal } from '@preact/signals';
import { createCamera } from '../picture/camera.ts';

const leastBrush = 1;
const greatestBrush = 2000;
/** CSS pixels around a picture fitted into the page. */
const margin = 32;

/** The brush, and which part of the picture is shown. */
export function createTools() {
  const diameter = signal(60);
  return {
    camera: createCamera(margin),
    /** In picture pixels. */
    diameter,
    erase: signal(false),
    /** While held, shows the original picture. */
    showBefore: signal(false),
    /** Shows the original left of this fraction of the picture's width; 0 shows none of it. */
    split: signal(0),

    resizeBrush(to: number): void {
      diameter.value = Math.round(Math.min(greatestBrush, Math.max(leastBrush, to)));
    },
  };
}

export type Tools = ReturnType<typeof createTools>;
