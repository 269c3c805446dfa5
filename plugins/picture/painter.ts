import type { Bounds, Size } from '../../shared/bounds.ts';
import type { Picture } from '../panel/host.ts';
import type { Preview } from '../panel/models/session-state.ts';
import { toView, type View } from './camera.ts';
import { context, newCanvas, toCanvas } from './decode.ts';
import type { EditableMask } from './mask-edit.ts';
import { createMaskOverlay } from './mask-overlay.ts';
import type { Outline } from './tools/tool.ts';

/** A picture and its position over the base. */
export interface PlacedPicture {
  readonly picture: Picture;
  readonly bounds: Bounds;
}

/** What a view shows. */
export interface Scene {
  readonly size: Size;
  /** The original picture; absent if only the result is known. */
  readonly base: Picture | undefined;
  /** The layers over it, lowest first. */
  readonly layers: readonly PlacedPicture[];
  readonly preview?: Preview | undefined;
  readonly mask?: EditableMask | undefined;
  /** 0..1: how strongly the mask is tinted. */
  readonly tint: number;
  /** Whether to cut out the preview, which has no alpha, by the mask. */
  readonly cutsPreview: boolean;
  /** 0..1: left of this share of the width, only the base is shown. */
  readonly before: number;
}

/** The longer side of the copy drawn when a large picture is shown small. */
const smallSide = 1280;

/** Draws scenes on a canvas and caches what is expensive to make. */
export function createPainter(canvas: HTMLCanvasElement, redraw: () => void) {
  const full = new WeakMap<Picture, HTMLCanvasElement>();
  const small = new WeakMap<Picture, HTMLCanvasElement>();
  const previews = new Map<string, HTMLImageElement>();
  const overlay = createMaskOverlay();

  /** @param scale device pixels per picture pixel */
  function canvasOf(picture: Picture, scale: number): HTMLCanvasElement {
    const longer = Math.max(picture.width, picture.height);
    const isSmall = longer > smallSide && longer * scale <= smallSide;
    const kept = isSmall ? small : full;
    const made = kept.get(picture) ?? (isSmall ? reduced(picture, smallSide / longer) : toCanvas(picture));
    kept.set(picture, made);
    return made;
  }

  function previewOf(url: string): HTMLImageElement | undefined {
    let image = previews.get(url);
    if (!image) {
      // Only keep the last two: the one on screen and the one being decoded.
      for (const old of [...previews.keys()].slice(0, -2)) previews.delete(old);
      image = new Image();
      image.onload = redraw;
      image.src = url;
      previews.set(url, image);
    }
    const isReady = ({ complete, naturalWidth }: HTMLImageElement): boolean => complete && naturalWidth > 0;
    return isReady(image) ? image : [...previews.values()].reverse().find(isReady);
  }

  return {
    /** Updates the tint in a changed region of the mask. */
    maskChanged: overlay.changed,

    draw(scene: Scene, view: View, outlines: readonly Outline[]): void {
      const ratio = window.devicePixelRatio || 1;
      const width = Math.round(canvas.clientWidth * ratio);
      const height = Math.round(canvas.clientHeight * ratio);
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      const drawing = canvas.getContext('2d');
      if (!drawing) return;
      const { size, base, layers, preview, mask, before } = scene;
      const scale = ratio * view.zoom;
      const draw = (picture: Picture, at: Bounds): void =>
        drawing.drawImage(canvasOf(picture, scale), at.left, at.top, at.width, at.height);
      drawing.setTransform(1, 0, 0, 1, 0, 0);
      drawing.clearRect(0, 0, width, height);
      drawing.setTransform(scale, 0, 0, scale, ratio * view.x, ratio * view.y);
      drawing.imageSmoothingEnabled = view.zoom < 3;
      drawing.imageSmoothingQuality = 'high';
      checkerboard(drawing, size, view.zoom);
      if (base) draw(base, { left: 0, top: 0, ...sizeOf(base) });

      if (before < 1) {
        drawing.save();
        drawing.beginPath();
        drawing.rect(before * size.width, 0, size.width, size.height);
        drawing.clip();
        for (const { picture, bounds } of layers) draw(picture, bounds);
        const image = preview?.bounds && previewOf(preview.url);
        if (preview?.bounds && image) {
          const cut = mask && scene.cutsPreview ? overlay.canvasOf(mask) : undefined;
          drawPreview(drawing, image, preview.bounds, cut);
        }
        drawing.restore();
      }
      if (mask && scene.tint > 0) {
        drawing.globalAlpha = scene.tint;
        drawing.drawImage(overlay.canvasOf(mask), 0, 0);
        drawing.globalAlpha = 1;
      }

      drawing.setTransform(ratio, 0, 0, ratio, 0, 0);
      if (before > 0 && before < 1) drawSplit(drawing, scene, view);
      for (const outline of outlines) drawOutline(drawing, outline, view);
    },
  };
}

function sizeOf({ width, height }: Size): Size {
  return { width, height };
}

function reduced(picture: Picture, scale: number): HTMLCanvasElement {
  const side = (length: number) => Math.max(1, Math.round(length * scale));
  const canvas = newCanvas(side(picture.width), side(picture.height));
  const drawing = context(canvas);
  drawing.imageSmoothingQuality = 'high';
  drawing.drawImage(toCanvas(picture), 0, 0, canvas.width, canvas.height);
  return canvas;
}

function drawPreview(
  drawing: CanvasRenderingContext2D,
  image: HTMLImageElement,
  { left, top, width, height }: Bounds,
  mask: HTMLCanvasElement | undefined,
): void {
  if (!mask) {
    drawing.drawImage(image, left, top, width, height);
    return;
  }
  const cut = newCanvas(width, height);
  const cutting = context(cut);
  cutting.drawImage(image, 0, 0, width, height);
  cutting.globalCompositeOperation = 'destination-in';
  cutting.drawImage(mask, -left, -top);
  drawing.drawImage(cut, left, top);
}

/** Shows through where the picture is transparent. */
function checkerboard(drawing: CanvasRenderingContext2D, { width, height }: Size, zoom: number): void {
  const tile = newCanvas(16, 16);
  const tiling = context(tile);
  tiling.fillStyle = '#fff';
  tiling.fillRect(0, 0, 16, 16);
  tiling.fillStyle = '#d4d4d4';
  tiling.fillRect(0, 0, 8, 8);
  tiling.fillRect(8, 8, 8, 8);
  const pattern = drawing.createPattern(tile, 'repeat');
  if (!pattern) return;
  pattern.setTransform(new DOMMatrix().scale(1 / zoom));
  drawing.fillStyle = pattern;
  drawing.fillRect(0, 0, width, height);
}

function drawSplit(drawing: CanvasRenderingContext2D, { before, size }: Scene, view: View): void {
  const { x, y } = toView(view, { x: before * size.width, y: 0 });
  const height = size.height * view.zoom;
  drawing.fillStyle = 'rgba(0, 0, 0, 0.55)';
  drawing.fillRect(x - 2, y, 4, height);
  drawing.fillStyle = '#fff';
  drawing.fillRect(x - 1, y, 2, height);
}

/** A line visible on both black and white. */
function drawOutline(drawing: CanvasRenderingContext2D, outline: Outline, view: View): void {
  drawing.beginPath();
  if (outline.kind === 'circle') {
    const { x, y } = toView(view, outline.at);
    drawing.arc(x, y, Math.max(1.5, outline.radius * view.zoom), 0, 2 * Math.PI);
  } else {
    for (const point of outline.points) {
      const { x, y } = toView(view, point);
      drawing.lineTo(x, y);
    }
    if (outline.isClosed) drawing.closePath();
  }
  for (const [width, colour] of [
    [3, 'rgba(0, 0, 0, 0.6)'],
    [1.25, '#fff'],
  ] as const) {
    drawing.lineWidth = width;
    drawing.strokeStyle = colour;
    drawing.stroke();
  }
}
