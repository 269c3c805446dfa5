import type { Point } from '../camera.ts';

/** A pointer at one point in time. */
export interface PointerSample {
  /** In picture pixels; may lie outside the picture. */
  readonly at: Point;
  /** In CSS pixels from the view's upper-left corner. */
  readonly inView: Point;
  /** 0..1; 0.5 while pressed on devices that don't measure it, such as a mouse. */
  readonly pressure: number;
  readonly device: 'mouse' | 'pen' | 'touch';
  readonly shift: boolean;
  readonly alt: boolean;
}

export interface KeyPress {
  /** As in `KeyboardEvent.key`; tools never get keys pressed with Ctrl, Meta or Alt. */
  readonly key: string;
  readonly shift: boolean;
  /** The view's centre, in picture pixels: where keyboard use starts. */
  readonly middle: Point;
}

/** What a tool draws over the picture, in picture pixels, as lines visible on black and white. */
export type Outline =
  | { readonly kind: 'circle'; readonly at: Point; readonly radius: number }
  | { readonly kind: 'path'; readonly points: readonly Point[]; readonly isClosed: boolean };

/**
 * What a tool is doing: idle, painting, … A handler returns the next state, or undefined to stay in this one.
 * A multi-click tool, such as a polygon, is a state that stays after the release.
 */
export interface ToolState {
  readonly name: string;
  /** A CSS cursor. */
  readonly cursor?: string;
  press?(sample: PointerSample): ToolState | undefined;
  /** @param samples since the last call, oldest first; at least one */
  move?(samples: readonly PointerSample[]): ToolState | undefined;
  release?(): ToolState | undefined;
  /** The pointer has left the view. */
  leave?(): void;
  key?(press: KeyPress): ToolState | undefined;
  /** Undoes what is in progress. A state without it has nothing in progress. */
  cancel?(): ToolState;
  /** Finishes what is in progress when another tool is chosen; what was done stays. */
  complete?(): void;
  outlines?(): readonly Outline[];
}

/** A tool is its initial state, in which nothing is in progress. */
export type Tool = ToolState;
