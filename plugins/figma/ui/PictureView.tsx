import { effect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Bounds } from '../../../shared/bounds.ts';
import { type PaintMask, type Point, strokeLine } from '../../panel/canvas/brush.ts';
import { context, newCanvas, toCanvas } from '../../panel/canvas/decode.ts';
import { createMaskOverlay } from '../../panel/canvas/mask-overlay.ts';
import { on } from '../../panel/components/on.ts';
import type { Picture, Placement } from '../../panel/host.ts';
import type { Preview } from '../../panel/models/session-state.ts';

export interface PictureViewProps {
  /** What lies below; absent where only the result is known. */
  readonly picture: Picture | undefined;
  readonly paint?: PaintMask;
  readonly candidate?: Placement;
  readonly preview?: Preview;
  /** What else can be done with the candidate. */
  readonly children?: ComponentChildren;
}

/** Of the picture's longer side. */
const brushShare = 0.08;
const keyShare = 0.02;
const tintStrength = 0.5;

/** The picture that is edited, small: to paint a mask on it, and to see what becomes of it. */
export function PictureView({ picture, paint, candidate, preview, children }: PictureViewProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = picture ?? candidate?.layer ?? { width: 1, height: 1 };
  const longer = Math.max(size.width, size.height);
  const [share, setShare] = useState(brushShare);
  const [erase, setErase] = useState(false);
  const [isBefore, setIsBefore] = useState(false);
  const shown = isBefore && picture ? undefined : candidate;
  const pen = useRef<Point | undefined>(undefined);
  const cursor = useRef<Point>({ x: size.width / 2, y: size.height / 2 });
  const isDown = useRef(false);

  const draw = (): void => {
    if (canvas.current) drawScene(canvas.current, { picture, paint, candidate: shown, preview }, draw);
  };
  useEffect(() => effect(draw));

  const strokeTo = (to: Point): void => {
    if (!paint) return;
    overlay.changed(paint, strokeLine(paint, pen.current ?? to, to, share * longer, erase));
    pen.current = to;
    draw();
  };
  const at = (event: PointerEvent): Point => {
    const box = canvas.current!.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * size.width,
      y: ((event.clientY - box.top) / box.height) * size.height,
    };
  };
  const painting = paint && {
    pointerdown: (event: PointerEvent) => {
      canvas.current!.setPointerCapture(event.pointerId);
      isDown.current = true;
      pen.current = undefined;
      strokeTo(at(event));
    },
    pointermove: (event: PointerEvent) => {
      if (isDown.current) strokeTo(at(event));
    },
    pointerup: () => {
      isDown.current = false;
      pen.current = undefined;
    },
    keydown: (event: KeyboardEvent) => {
      const [x, y] = moves[event.key] ?? [];
      if (x !== undefined && y !== undefined) {
        cursor.current = {
          x: Math.min(size.width, Math.max(0, cursor.current.x + x * keyShare * longer)),
          y: Math.min(size.height, Math.max(0, cursor.current.y + y * keyShare * longer)),
        };
        if (event.shiftKey) strokeTo(cursor.current);
        else pen.current = undefined;
        drawCursor(canvas.current!, cursor.current, share * longer, size.width, draw);
      } else if (event.key === ' ' || (event.key === 'Enter' && !event.ctrlKey && !event.metaKey)) {
        pen.current = undefined;
        strokeTo(cursor.current);
      } else return;
      event.preventDefault();
    },
  };

  return (
    <div class="picture-view">
      <canvas
        ref={canvas}
        class={paint ? 'picture paintable' : 'picture'}
        tabIndex={paint ? 0 : -1}
        role={paint ? 'application' : 'img'}
        aria-label={
          paint ? 'Paint the mask: arrows move, space paints, Shift and arrows draw' : 'Preview of the edit'
        }
        {...on((painting ?? {}) as Parameters<typeof on>[0])}
      />
      {paint && (
        <div class="brush-row">
          <button
            class="secondary"
            type="button"
            aria-pressed={erase}
            {...on({ click: () => setErase(!erase) })}
          >
            Erase
          </button>
          <span class="brush-name">Brush size</span>
          <input
            type="range"
            aria-label="Brush size"
            min={1}
            max={40}
            value={Math.round(share * 100)}
            {...on({ input: (event) => setShare(Number((event.target as HTMLInputElement).value) / 100) })}
          />
        </div>
      )}
      {candidate && picture && (
        <div class="brush-row">
          <button
            class="secondary"
            type="button"
            aria-pressed={isBefore}
            {...on({ click: () => setIsBefore(!isBefore) })}
          >
            Show before
          </button>
          {children}
        </div>
      )}
    </div>
  );
}

const moves: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

interface Scene {
  readonly picture: Picture | undefined;
  readonly paint: PaintMask | undefined;
  readonly candidate: Placement | undefined;
  readonly preview: Preview | undefined;
}

const overlay = createMaskOverlay();
/** The panel shows pictures in a few hundred pixels: they are made small once, not with every stroke. */
const shownSide = 1280;
const drawn = new WeakMap<object, HTMLCanvasElement>();

function canvasOf(picture: Picture): HTMLCanvasElement {
  const known = drawn.get(picture);
  if (known) return known;
  const scale = Math.min(1, shownSide / Math.max(picture.width, picture.height));
  const side = (length: number) => Math.max(1, Math.round(length * scale));
  const small = newCanvas(side(picture.width), side(picture.height));
  const drawing = context(small);
  drawing.imageSmoothingQuality = 'high';
  drawing.drawImage(toCanvas(picture), 0, 0, small.width, small.height);
  drawn.set(picture, small);
  return small;
}

/** Redrawn in full: the panel shows it small, however large it is. */
function drawScene(canvas: HTMLCanvasElement, scene: Scene, redraw: () => void): void {
  const { picture, paint, candidate, preview } = scene;
  const layer = candidate && (candidate.layer as Picture);
  const size = picture ?? layer;
  if (!size) return;
  const scale = Math.min(1, 640 / Math.max(size.width, size.height));
  canvas.width = Math.max(1, Math.round(size.width * scale));
  canvas.height = Math.max(1, Math.round(size.height * scale));
  const drawing = canvas.getContext('2d')!;
  drawing.imageSmoothingQuality = 'high';
  drawing.scale(canvas.width / size.width, canvas.height / size.height);
  if (picture) drawing.drawImage(canvasOf(picture), 0, 0, picture.width, picture.height);
  if (layer && candidate) {
    const at = picture ? candidate.bounds : { left: 0, top: 0 };
    drawing.drawImage(canvasOf(layer), at.left, at.top, layer.width, layer.height);
  } else if (preview?.bounds) {
    drawPreview(drawing, preview.url, preview.bounds, redraw);
  }
  if (paint) {
    drawing.globalAlpha = tintStrength;
    drawing.drawImage(overlay.canvasOf(paint), 0, 0);
    drawing.globalAlpha = 1;
  }
}

const previews = new Map<string, HTMLImageElement>();

function drawPreview(
  drawing: CanvasRenderingContext2D,
  url: string,
  { left, top, width, height }: Bounds,
  redraw: () => void,
): void {
  let image = previews.get(url);
  if (!image) {
    previews.clear();
    image = new Image();
    image.onload = redraw;
    image.src = url;
    previews.set(url, image);
  }
  if (image.complete && image.naturalWidth > 0) drawing.drawImage(image, left, top, width, height);
}

/** The ring of the brush, for the keyboard. */
function drawCursor(
  canvas: HTMLCanvasElement,
  { x, y }: Point,
  diameter: number,
  width: number,
  draw: () => void,
): void {
  draw();
  const drawing = canvas.getContext('2d')!;
  for (const [line, colour] of [
    [3, '#000'],
    [1.5, '#fff'],
  ] as const) {
    drawing.beginPath();
    drawing.arc(x, y, diameter / 2, 0, 2 * Math.PI);
    drawing.lineWidth = (line * width) / canvas.width;
    drawing.strokeStyle = colour;
    drawing.stroke();
  }
}
