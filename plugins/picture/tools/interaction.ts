import { computed, effect, type ReadonlySignal, signal, untracked } from '@preact/signals';
import { type Camera, type Point, toPicture } from '../camera.ts';
import type { Outline, PointerSample, Tool, ToolState } from './tool.ts';

const zoomPerKey = 1.25;

/** Without a tool, the picture can still be panned. */
const looking: Tool = { name: 'looking', cursor: 'grab' };
/** After a two-finger gesture, the finger still down does nothing. */
const resting: ToolState = { name: 'resting' };

/**
 * Routes pointers and keys to the tool, or to the camera if they move the picture: dragging with space or the
 * middle button, two fingers, + - and 0. Independent of the DOM.
 */
export function createInteraction(camera: Camera, tool: ReadonlySignal<Tool | undefined>) {
  const idle = (): Tool => tool.peek() ?? looking;
  const state = signal<ToolState>(idle());
  const holdsSpace = signal(false);
  /** Positions of the pressed pointers in the view, by pointer ID. */
  const pressed = new Map<number, Point>();
  let device: PointerSample['device'] = 'mouse';

  const enter = (next: ToolState | undefined): void => {
    if (next) state.value = next;
  };

  function cancel(): boolean {
    const next = state.peek().cancel?.();
    enter(next);
    return next !== undefined;
  }

  /** @param back the state that panning interrupts and returns to */
  function panning(from: Point, back: ToolState): ToolState {
    const before = camera.view.peek();
    let last = from;
    return {
      name: 'panning',
      cursor: 'grabbing',
      move(samples) {
        const { inView } = samples.at(-1) ?? { inView: last };
        camera.pan({ x: inView.x - last.x, y: inView.y - last.y });
        last = inView;
        return undefined;
      },
      release: () => back,
      complete: () => back.complete?.(),
      cancel() {
        camera.move(before);
        return back;
      },
    };
  }

  /** Pans and zooms with the first two fingers, one of which has just moved. */
  function pinch(id: number, to: Point): void {
    const fingers = [...pressed].slice(0, 2);
    const [first, second] = fingers.map(([, point]) => point);
    pressed.set(id, to);
    const [firstNow, secondNow] = fingers.map(([finger]) => pressed.get(finger));
    if (!first || !second || !firstNow || !secondNow) return;
    const before = between(first, second);
    const after = between(firstNow, secondNow);
    camera.pan({ x: after.x - before.x, y: after.y - before.y });
    camera.zoom(Math.max(1, distance(firstNow, secondNow)) / Math.max(1, distance(first, second)), after);
  }

  return {
    state: computed(() => state.value.name),
    cursor: computed(() => {
      const { name, cursor = '' } = state.value;
      return holdsSpace.value && name !== 'panning' ? 'grab' : cursor;
    }),
    outlines: computed((): readonly Outline[] => (holdsSpace.value ? [] : (state.value.outlines?.() ?? []))),

    /** Follows the chosen tool. Returns its own release. */
    start: (): (() => void) =>
      effect(() => {
        const chosen = tool.value ?? looking;
        untracked(() => state.peek().complete?.());
        state.value = chosen;
      }),

    /** @param button as in `PointerEvent.button` */
    press(id: number, sample: PointerSample, button: number): void {
      if (button !== 0 && button !== 1) return;
      if (pressed.size > 0) {
        // A palm next to the pen, or another device: the first one keeps control.
        if (device !== 'touch' || sample.device !== 'touch') return;
        pressed.set(id, sample.inView);
        cancel();
        state.value = resting;
        return;
      }
      device = sample.device;
      pressed.set(id, sample.inView);
      const movesPicture = button === 1 || holdsSpace.peek() || state.peek() === looking;
      const now = state.peek();
      enter(movesPicture ? panning(sample.inView, now) : now.press?.(sample));
    },

    /** @param samples one pointer's samples since the last call, oldest first */
    move(id: number, samples: readonly PointerSample[]): void {
      const last = samples.at(-1);
      if (!last || (pressed.size > 0 && !pressed.has(id))) return;
      if (pressed.size > 1) pinch(id, last.inView);
      else {
        if (pressed.has(id)) pressed.set(id, last.inView);
        enter(state.peek().move?.(samples));
      }
    },

    release(id: number): void {
      if (!pressed.delete(id) || pressed.size > 0) return;
      enter(state.peek() === resting ? idle() : state.peek().release?.());
    },

    /** The system took over the pointer, for a system gesture for example. */
    lose(id: number): void {
      if (!pressed.delete(id)) return;
      cancel();
      state.value = pressed.size > 0 ? resting : idle();
    },

    leave(): void {
      if (pressed.size === 0) state.peek().leave?.();
    },

    /** @returns whether the key was for the picture */
    keyDown(key: string, shift: boolean): boolean {
      if (key === 'Escape') return cancel();
      if (key === ' ') holdsSpace.value = true;
      else if (key === '0') camera.fit();
      else if (key === '+' || key === '=') camera.zoom(zoomPerKey, camera.middle());
      else if (key === '-') camera.zoom(1 / zoomPerKey, camera.middle());
      else {
        const middle = toPicture(camera.view.peek(), camera.middle());
        const next = state.peek().key?.({ key, shift, middle });
        enter(next);
        return next !== undefined;
      }
      return true;
    },

    keyUp(key: string): void {
      if (key === ' ') holdsSpace.value = false;
    },

    /** Keys released elsewhere go unnoticed here. */
    blur(): void {
      holdsSpace.value = false;
    },
  };
}

export type Interaction = ReturnType<typeof createInteraction>;

function between(a: Point, b: Point): Point {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
