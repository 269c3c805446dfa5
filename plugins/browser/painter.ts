import type { Bounds } from '../../shared/bounds.ts';
import type { Point } from '../panel/canvas/brush.ts';
import { context, newCanvas, toCanvas } from '../panel/canvas/decode.ts';
import { createMaskOverlay } from '../panel/canvas/mask-overlay.ts';
import type { Placement } from '../panel/host.ts';
import type { Preview } from '../panel/models/session-state.ts';
import type { Layer, OpenPicture } from './document.ts';
import { withEightBits } from './document.ts';
import { toStage, type View } from './view.ts';

/** Everything that one drawing of the stage shows. */
export interface Scene {
  readonly open: OpenPicture;
  readonly view: View;
  readonly layers: readonly Layer[];
  readonly candidate: Placement | undefined;
  readonly preview: Preview | undefined;
  readonly hasMask: boolean;
  /** 0..1: how strongly the mask is tinted. */
  readonly maskStrength: number;
  readonly split: number;
  readonly showBefore: boolean;
  readonly cursor: { readonly at: Point; readonly diameter: number } | undefined;
}

/** Draws scenes on the stage's canvas and keeps what is costly to make. */
export function createPainter(canvas: HTMLCanvasElement) {
  const pictures = new WeakMap<object, HTMLCanvasElement>();
  const images = new Map<string, HTMLImageElement>();
  const overlay = createMaskOverlay();
  let redraw = (): void => {};

  function canvasOf(picture: Placement['layer']): HTMLCanvasElement {
    const known = pictures.get(picture) ?? toCanvas(withEightBits(picture));
    pictures.set(picture, known);
    return known;
  }

  function imageOf(url: string): HTMLImageElement | undefined {
    let image = images.get(url);
    if (!image) {
      // Only the latest previews are wanted: the one that is shown while the next one is being decoded.
      for (const old of [...images.keys()].slice(0, -2)) images.delete(old);
      image = new Image();
      image.onload = () => redraw();
      image.src = url;
      images.set(url, image);
    }
    if (image.complete && image.naturalWidth > 0) return image;
    return [...images.values()].reverse().find((other) => other.complete && other.naturalWidth > 0);
  }

  return {
    onReady(draw: () => void): void {
      redraw = draw;
    },

    /** Brings the tint up to date with a part of the mask that has changed. */
    maskChanged: overlay.changed,

    draw(scene: Scene): void {
      const ratio = window.devicePixelRatio || 1;
      const width = Math.round(canvas.clientWidth * ratio);
      const height = Math.round(canvas.clientHeight * ratio);
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      const drawing = canvas.getContext('2d');
      if (!drawing) return;
      drawing.setTransform(1, 0, 0, 1, 0, 0);
      drawing.clearRect(0, 0, width, height);
      const { view, open } = scene;
      const onPicture = (): void =>
        drawing.setTransform(ratio * view.zoom, 0, 0, ratio * view.zoom, ratio * view.x, ratio * view.y);
      onPicture();
      drawing.imageSmoothingEnabled = view.zoom < 3;
      drawing.imageSmoothingQuality = 'high';
      const { picture } = open;
      const base = canvasOf(picture);
      checkerboard(drawing, picture.width, picture.height, view.zoom);
      drawing.drawImage(base, 0, 0);

      if (!scene.showBefore) {
        drawing.save();
        drawing.beginPath();
        drawing.rect(scene.split * picture.width, 0, picture.width, picture.height);
        drawing.clip();
        for (const layer of scene.layers) {
          if (layer.visible) drawing.drawImage(canvasOf(layer.picture), layer.bounds.left, layer.bounds.top);
        }
        const { candidate, preview } = scene;
        if (candidate) {
          drawing.drawImage(canvasOf(candidate.layer), candidate.bounds.left, candidate.bounds.top);
        }
        if (preview?.bounds) {
          const image = imageOf(preview.url);
          if (image)
            drawPreview(
              drawing,
              image,
              preview.bounds,
              scene.hasMask ? overlay.canvasOf(open.mask) : undefined,
            );
        }
        drawing.restore();
      }
      if (scene.maskStrength > 0) {
        drawing.globalAlpha = scene.maskStrength;
        drawing.drawImage(overlay.canvasOf(open.mask), 0, 0);
        drawing.globalAlpha = 1;
      }

      drawing.setTransform(ratio, 0, 0, ratio, 0, 0);
      if (scene.split > 0 && !scene.showBefore) drawSplit(drawing, scene);
      if (scene.cursor) drawCursor(drawing, scene.cursor, view);
    },
  };
}

export type Painter = ReturnType<typeof createPainter>;

/** The preview has no alpha of its own: the mask, if there is one, cuts it out. */
function drawPreview(
  drawing: CanvasRenderingContext2D,
  image: HTMLImageElement,
  bounds: Bounds,
  overlay: HTMLCanvasElement | undefined,
): void {
  const cut = newCanvas(bounds.width, bounds.height);
  const cutting = context(cut);
  cutting.drawImage(image, 0, 0, bounds.width, bounds.height);
  if (overlay) {
    cutting.globalCompositeOperation = 'destination-in';
    cutting.drawImage(overlay, -bounds.left, -bounds.top);
  }
  drawing.drawImage(cut, bounds.left, bounds.top);
}

/** Seen where the picture is transparent. */
function checkerboard(drawing: CanvasRenderingContext2D, width: number, height: number, zoom: number): void {
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

function drawSplit(drawing: CanvasRenderingContext2D, { view, split, open }: Scene): void {
  const { x, y } = toStage(view, { x: split * open.picture.width, y: 0 });
  const height = open.picture.height * view.zoom;
  drawing.fillStyle = 'rgba(0, 0, 0, 0.55)';
  drawing.fillRect(x - 2, y, 4, height);
  drawing.fillStyle = '#fff';
  drawing.fillRect(x - 1, y, 2, height);
}

/** A ring that is seen on black and on white. */
function drawCursor(
  drawing: CanvasRenderingContext2D,
  cursor: NonNullable<Scene['cursor']>,
  view: View,
): void {
  const { x, y } = toStage(view, cursor.at);
  const radius = Math.max(1.5, (cursor.diameter * view.zoom) / 2);
  for (const [width, colour] of [
    [3, 'rgba(0, 0, 0, 0.6)'],
    [1.25, '#fff'],
  ] as const) {
    drawing.beginPath();
    drawing.arc(x, y, radius, 0, 2 * Math.PI);
    drawing.lineWidth = width;
    drawing.strokeStyle = colour;
    drawing.stroke();
  }
}
