import { effect, type ReadonlySignal, signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { type Camera, toPicture } from './camera.ts';
import { createPainter, type Scene } from './painter.ts';
import { createInteraction } from './tools/interaction.ts';
import type { PointerSample, Tool } from './tools/tool.ts';

export interface PictureViewProps {
  readonly class: string;
  readonly style?: Readonly<Record<string, string>>;
  /** What the view shows and, if it has tools, which keys it takes. */
  readonly label: string;
  readonly camera: Camera;
  readonly scene: ReadonlySignal<Scene | undefined>;
  /** What pressing on the picture does; undefined pans it. Absent for a view-only picture. */
  readonly tool?: ReadonlySignal<Tool | undefined>;
}

const noTool = signal<Tool | undefined>(undefined);
const zoomPerWheelPixel = 0.0015;

/** Shows the picture, zooms and pans it, and applies tools to it. */
export function PictureView({ class: name, style, label, camera, scene, tool }: PictureViewProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current) return mount(canvas.current, camera, scene, tool);
  }, [camera, scene, tool]);
  return (
    <canvas
      ref={canvas}
      class={name}
      {...(style && { style })}
      tabIndex={tool ? 0 : -1}
      role={tool ? 'application' : 'img'}
      aria-label={label}
    />
  );
}

/** Returns its own release. */
function mount(
  canvas: HTMLCanvasElement,
  camera: Camera,
  scene: ReadonlySignal<Scene | undefined>,
  tool: PictureViewProps['tool'],
): () => void {
  const interaction = createInteraction(camera, tool ?? noTool);
  let frame = 0;
  const schedule = (): void => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      const shown = scene.peek();
      if (shown) painter.draw(shown, camera.view.peek(), interaction.outlines.peek());
    });
  };
  const painter = createPainter(canvas, schedule);

  let shown: Pick<Scene, 'base' | 'size'> | undefined;
  const releases = [
    interaction.start(),
    effect(() => {
      const next = scene.value;
      if (!next) return;
      const { base, size } = next;
      const isSame =
        shown?.base === base && shown?.size.width === size.width && shown.size.height === size.height;
      shown = { base, size };
      if (!isSame) camera.show(size);
    }),
    effect(() => {
      // Report each change separately: two regions may change before the next frame.
      const mask = scene.value?.mask;
      if (mask) painter.maskChanged(mask, mask.changed.value);
      schedule();
    }),
    effect(() => {
      void [scene.value, camera.view.value, interaction.outlines.value];
      schedule();
    }),
    effect(() => {
      canvas.style.cursor = interaction.cursor.value;
    }),
  ];

  const sampleOf = (event: PointerEvent): PointerSample => {
    const box = canvas.getBoundingClientRect();
    const inView = { x: event.clientX - box.left, y: event.clientY - box.top };
    const { pressure, pointerType, shiftKey: shift, altKey: alt } = event;
    const device = pointerType === 'pen' || pointerType === 'touch' ? pointerType : 'mouse';
    return { at: toPicture(camera.view.peek(), inView), inView, pressure, device, shift, alt };
  };
  const samplesOf = (event: PointerEvent): PointerSample[] => {
    const events = event.getCoalescedEvents?.() ?? [];
    return (events.length > 0 ? events : [event]).map(sampleOf);
  };
  const onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    // Some wheels scroll by lines or pages instead of pixels.
    const pixels = event.deltaY * (event.deltaMode === 0 ? 1 : event.deltaMode === 1 ? 16 : 400);
    const at = { x: event.clientX - box.left, y: event.clientY - box.top };
    camera.zoom(Math.exp(-pixels * zoomPerWheelPixel), at);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || !scene.peek()) return;
    // A key the picture handled isn't the panel's: Escape undoes a stroke before it cancels an edit.
    if (interaction.keyDown(event.key, event.shiftKey)) event.preventDefault();
  };

  const listening = new AbortController();
  const listen = <Name extends keyof HTMLElementEventMap>(
    name: Name,
    listener: (event: HTMLElementEventMap[Name]) => void,
  ): void => canvas.addEventListener(name, listener, { signal: listening.signal, passive: false });
  listen('pointerdown', (event) => {
    if (event.button > 1) return;
    if (tool) canvas.focus({ preventScroll: true });
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    interaction.press(event.pointerId, sampleOf(event), event.button);
  });
  listen('pointermove', (event) => interaction.move(event.pointerId, samplesOf(event)));
  listen('pointerup', (event) => interaction.release(event.pointerId));
  listen('pointercancel', (event) => interaction.lose(event.pointerId));
  listen('pointerleave', () => interaction.leave());
  listen('wheel', onWheel);
  listen('keydown', onKeyDown);
  listen('keyup', (event) => interaction.keyUp(event.key));
  listen('blur', () => interaction.blur());

  const resize = new ResizeObserver(() => {
    camera.resize({ width: canvas.clientWidth, height: canvas.clientHeight });
    schedule();
  });
  resize.observe(canvas);

  return () => {
    listening.abort();
    resize.disconnect();
    cancelAnimationFrame(frame);
    for (const release of releases) release();
  };
}
