import { type ReadonlySignal, signal } from '@preact/signals';
import { strokeLine } from '../brush.ts';
import type { Point } from '../camera.ts';
import type { MaskEdit } from '../mask-edit.ts';
import type { PointerSample, Tool, ToolState } from './tool.ts';

export interface BrushParts {
  /** In picture pixels. */
  readonly diameter: ReadonlySignal<number>;
  readonly erase: ReadonlySignal<boolean>;
  /** Returns undefined if there is nothing to paint on. */
  readonly edit: () => MaskEdit | undefined;
}

/** How far an arrow key moves the brush, as a fraction of its diameter. */
const keyMove = 0.25;

const directions: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Paints or erases the mask. Arrow keys move the brush, Shift+arrow draws, Enter paints a dot. */
export function createBrushTool({ diameter, erase, edit }: BrushParts): Tool {
  const position = signal<Point | undefined>(undefined);
  const outlines: NonNullable<ToolState['outlines']> = () =>
    position.value ? [{ kind: 'circle', at: position.value, radius: diameter.value / 2 }] : [];

  /** Draws a line from the brush's position, as one change. */
  function draw(change: MaskEdit, from: Point, to: Point): void {
    change.touch(strokeLine(change.mask, from, to, diameter.peek(), erase.peek()));
    position.value = to;
  }

  function painting(change: MaskEdit, { at: start }: PointerSample): ToolState {
    let last = start;
    draw(change, start, start);
    return {
      name: 'painting',
      cursor: 'crosshair',
      outlines,
      move(samples) {
        for (const { at } of samples) {
          draw(change, last, at);
          last = at;
        }
        return undefined;
      },
      release() {
        change.commit();
        return idle;
      },
      complete: () => change.commit(),
      cancel() {
        change.cancel();
        return idle;
      },
    };
  }

  const idle: Tool = {
    name: 'idle',
    cursor: 'crosshair',
    outlines,
    move(samples) {
      position.value = samples.at(-1)?.at;
      return undefined;
    },
    leave() {
      position.value = undefined;
    },
    press(sample) {
      const change = edit();
      return change && painting(change, sample);
    },
    key({ key, shift, middle }) {
      const from = position.peek() ?? middle;
      const direction = directions[key];
      if (!direction && key !== 'Enter') return undefined;
      const distance = Math.max(1, diameter.peek() * keyMove);
      const [x, y] = direction ?? [0, 0];
      const to = { x: from.x + x * distance, y: from.y + y * distance };
      position.value = to;
      const change = key === 'Enter' || shift ? edit() : undefined;
      if (change) {
        draw(change, from, to);
        change.commit();
      }
      return idle;
    },
  };
  return idle;
}
