import { signal } from '@preact/signals';
import type { Size } from '../../shared/bounds.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** How the picture lies in its view: view = picture * zoom + offset, in CSS pixels. */
export interface View {
  readonly zoom: number;
  readonly x: number;
  readonly y: number;
}

const greatestZoom = 32;
const leastZoom = 0.01;

/** Centres the whole picture, never enlarged beyond 100%. */
export function fitted(frame: Size, picture: Size, margin: number): View {
  const width = Math.max(1, frame.width - 2 * margin);
  const height = Math.max(1, frame.height - 2 * margin);
  const zoom = Math.min(1, width / picture.width, height / picture.height);
  return { zoom, x: (frame.width - picture.width * zoom) / 2, y: (frame.height - picture.height * zoom) / 2 };
}

/** Zooms around `at`, in CSS pixels of the view: the picture's point under it stays put. */
export function zoomed(view: View, factor: number, at: Point): View {
  const zoom = Math.min(greatestZoom, Math.max(leastZoom, view.zoom * factor));
  const scale = zoom / view.zoom;
  return { zoom, x: at.x - (at.x - view.x) * scale, y: at.y - (at.y - view.y) * scale };
}

export function toPicture(view: View, at: Point): Point {
  return { x: (at.x - view.x) / view.zoom, y: (at.y - view.y) / view.zoom };
}

export function toView(view: View, at: Point): Point {
  return { x: at.x * view.zoom + view.x, y: at.y * view.zoom + view.y };
}

/**
 * Which part of a picture is visible. It stays fitted until the person zooms or pans.
 * @param margin CSS pixels around a fitted picture
 */
export function createCamera(margin = 0) {
  const view = signal<View>({ zoom: 1, x: 0, y: 0 });
  let frame: Size = { width: 1, height: 1 };
  let picture: Size | undefined;
  let isFitted = true;

  function fitPicture(): void {
    isFitted = true;
    if (picture) view.value = fitted(frame, picture, margin);
  }

  function move(to: View): void {
    isFitted = false;
    view.value = to;
  }

  return {
    view,
    fit: fitPicture,
    move,

    /** Sets the view's size in CSS pixels. */
    resize(size: Size): void {
      frame = size;
      if (isFitted) fitPicture();
    },

    /** Shows another picture, of this size. */
    show(size: Size): void {
      picture = size;
      fitPicture();
    },

    middle: (): Point => ({ x: frame.width / 2, y: frame.height / 2 }),

    zoom(factor: number, at: Point): void {
      move(zoomed(view.peek(), factor, at));
    },

    pan(by: Point): void {
      const { zoom, x, y } = view.peek();
      move({ zoom, x: x + by.x, y: y + by.y });
    },
  };
}

export type Camera = ReturnType<typeof createCamera>;
