import { effect, signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Point } from '../panel/canvas/brush.ts';
import type { Session } from '../panel/models/session.ts';
import type { PageDocument } from './document.ts';
import { createPainter } from './painter.ts';
import type { Tools } from './tools.ts';
import { fitted, toPicture, type View, zoomed } from './view.ts';

export interface StageProps {
  readonly pageDocument: PageDocument;
  readonly session: Session;
  readonly tools: Tools;
}

const zoomPerWheelPixel = 0.0015;
const zoomPerKey = 1.25;
/** How far an arrow key moves the brush, as a share of its size. */
const keyMove = 0.25;

/** The picture: zoomed, panned and painted on. */
export function Stage(props: StageProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => mountStage(canvas.current!, props), [props.pageDocument, props.session, props.tools]);
  return (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: its keys are its own, which this role tells
    <canvas
      ref={canvas}
      class="stage"
      tabIndex={0}
      role="application"
      aria-label="Picture. Arrow keys move the brush, Enter paints, E switches to erasing, + and - zoom, 0 fits."
    />
  );
}

function mountStage(canvas: HTMLCanvasElement, { pageDocument, session, tools }: StageProps): () => void {
  const painter = createPainter(canvas);
  const view = signal<View>({ zoom: 1, x: 0, y: 0 });
  const cursor = signal<Point | undefined>(undefined);
  const holdsSpace = signal(false);
  let frame = 0;
  let isFitted = true;
  let drag: { readonly kind: 'paint' | 'pan'; last: Point } | undefined;

  const fitPicture = (): void => {
    const open = pageDocument.open.value;
    if (!open) return;
    isFitted = true;
    view.value = fitted({ width: canvas.clientWidth, height: canvas.clientHeight }, open.picture);
  };
  const zoomAt = (factor: number, at: Point): void => {
    isFitted = false;
    view.value = zoomed(view.value, factor, at);
  };
  const middle = (): Point => ({ x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 });
  const at = (event: MouseEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  const draw = (): void => {
    frame = 0;
    const open = pageDocument.open.peek();
    if (!open) return;
    const state = session.state.peek();
    const brush = cursor.peek();
    painter.draw({
      open,
      view: view.peek(),
      layers: pageDocument.layers.peek(),
      candidate: state.kind === 'done' ? state.variants[state.chosen] : undefined,
      preview: state.kind === 'running' ? state.preview : undefined,
      hasMask: pageDocument.hasMask.peek(),
      maskStrength: state.kind === 'done' || tools.showBefore.peek() ? 0 : isRunningPreview(state) ? 0 : 0.5,
      split: tools.split.peek(),
      showBefore: tools.showBefore.peek(),
      cursor:
        brush && paints() && !holdsSpace.peek() ? { at: brush, diameter: tools.diameter.peek() } : undefined,
    });
  };
  const schedule = (): void => {
    frame ||= requestAnimationFrame(draw);
  };
  painter.onReady(schedule);

  const stops = [
    effect(() => {
      if (pageDocument.open.value) fitPicture();
    }),
    effect(() => {
      const bounds = pageDocument.maskChange.value;
      const mask = pageDocument.open.peek()?.mask;
      if (bounds && mask) painter.maskChanged(mask, bounds);
      schedule();
    }),
    effect(() => {
      // Read, so that a change of any of them draws again.
      void [pageDocument.open.value, pageDocument.layers.value, session.state.value, view.value];
      void [cursor.value, holdsSpace.value, tools.diameter.value, tools.split.value, tools.showBefore.value];
      schedule();
    }),
  ];

  const paints = (): boolean => {
    const { kind } = session.state.peek();
    return kind === 'idle' || kind === 'failed' || kind === 'cancelled';
  };

  const onPointerDown = (event: PointerEvent): void => {
    canvas.focus({ preventScroll: true });
    const pans = event.button === 1 || holdsSpace.value || !paints();
    if (event.button !== 0 && event.button !== 1) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    drag = { kind: pans ? 'pan' : 'paint', last: at(event) };
    if (!pans) {
      pageDocument.startStroke(toPicture(view.value, at(event)), tools.diameter.value, tools.erase.value);
    }
  };
  const onPointerMove = (event: PointerEvent): void => {
    const here = at(event);
    cursor.value = paints() ? toPicture(view.value, here) : undefined;
    if (drag?.kind === 'pan') {
      isFitted = false;
      view.value = {
        ...view.value,
        x: view.value.x + here.x - drag.last.x,
        y: view.value.y + here.y - drag.last.y,
      };
      drag.last = here;
    } else if (drag) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const part of events.length > 0 ? events : [event]) {
        pageDocument.strokeTo(toPicture(view.value, at(part)), tools.diameter.value, tools.erase.value);
      }
    }
  };
  const onPointerUp = (): void => {
    if (drag?.kind === 'paint') pageDocument.endStroke();
    drag = undefined;
  };
  const onPointerLeave = (): void => {
    if (!drag) cursor.value = undefined;
  };
  const onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    // A wheel that scrolls by lines or pages instead of pixels.
    const pixels = event.deltaY * (event.deltaMode === 0 ? 1 : event.deltaMode === 1 ? 16 : 400);
    zoomAt(Math.exp(-pixels * zoomPerWheelPixel), at(event));
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || !pageDocument.open.value) return;
    const move = moves[event.key];
    if (event.key === ' ') holdsSpace.value = true;
    else if (event.key === '0') fitPicture();
    else if (event.key === '+' || event.key === '=') zoomAt(zoomPerKey, middle());
    else if (event.key === '-') zoomAt(1 / zoomPerKey, middle());
    else if (move && paints()) {
      const distance = Math.max(1, tools.diameter.value * keyMove) * (event.shiftKey ? 4 : 1);
      const from = cursor.value ?? toPicture(view.value, middle());
      cursor.value = { x: from.x + move[0] * distance, y: from.y + move[1] * distance };
    } else if (event.key === 'Enter' && cursor.value && paints()) {
      pageDocument.startStroke(cursor.value, tools.diameter.value, tools.erase.value);
      pageDocument.endStroke();
    } else return;
    event.preventDefault();
  };
  const onKeyUp = (event: KeyboardEvent): void => {
    if (event.key === ' ') holdsSpace.value = false;
  };
  const onBlur = (): void => {
    holdsSpace.value = false;
  };

  const resize = new ResizeObserver(() => {
    if (isFitted) fitPicture();
    schedule();
  });
  resize.observe(canvas);
  const listening = new AbortController();
  const { signal: until } = listening;
  canvas.addEventListener('pointerdown', onPointerDown, { signal: until });
  canvas.addEventListener('pointermove', onPointerMove, { signal: until });
  canvas.addEventListener('pointerup', onPointerUp, { signal: until });
  canvas.addEventListener('pointercancel', onPointerUp, { signal: until });
  canvas.addEventListener('pointerleave', onPointerLeave, { signal: until });
  canvas.addEventListener('wheel', onWheel, { passive: false, signal: until });
  canvas.addEventListener('keydown', onKeyDown, { signal: until });
  canvas.addEventListener('keyup', onKeyUp, { signal: until });
  canvas.addEventListener('blur', onBlur, { signal: until });
  canvas.addEventListener('fit', fitPicture, { signal: until });

  return () => {
    listening.abort();
    resize.disconnect();
    cancelAnimationFrame(frame);
    for (const stop of stops) stop();
  };
}

const moves: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function isRunningPreview(state: Session['state']['value']): boolean {
  return state.kind === 'running' && state.preview?.bounds !== undefined;
}
