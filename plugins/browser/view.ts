import type { Point } from '../panel/canvas/brush.ts';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** How the picture lies on the stage: stage = picture * zoom + offset, in CSS pixels. */
export interface View {
  readonly zoom: number;
  readonly x: number;
  readonly y: number;
}

const margin = 32;
const greatestZoom = 32;
const leastZoom = 0.01;

/** The whole picture in the middle of the stage, never above its own size. */
export function fitted(stage: Size, picture: Size): View {
  const room = {
    width: Math.max(1, stage.width - 2 * margin),
    height: Math.max(1, stage.height - 2 * margin),
  };
  const zoom = Math.min(1, room.width / picture.width, room.height / picture.height);
  return { zoom, x: (stage.width - picture.width * zoom) / 2, y: (stage.height - picture.height * zoom) / 2 };
}

/** Zooms so that the picture's point under `at`, in stage pixels, stays where it is. */
export function zoomed(view: View, factor: number, at: Point): View {
  const zoom = Math.min(greatestZoom, Math.max(leastZoom, view.zoom * factor));
  const scale = zoom / view.zoom;
  return { zoom, x: at.x - (at.x - view.x) * scale, y: at.y - (at.y - view.y) * scale };
}

export function toPicture(view: View, at: Point): Point {
  return { x: (at.x - view.x) / view.zoom, y: (at.y - view.y) / view.zoom };
}

export function toStage(view: View, at: Point): Point {
  return { x: at.x * view.zoom + view.x, y: at.y * view.zoom + view.y };
}
