import type { Point } from '../camera.ts';

/** A pointer at one moment. */
export interface PointerSample {
  /** In picture pixels; may lie outside of the picture. */
  readonly at: Point;
  /** In CSS pixels from the view's upper left corner. */
  readonly inView: Point;
  /** 0..1; 0.5 while pressed for devices that do not measure it, such as a mouse. */
  readonly pressure: number;
  readonly device: 'mouse' | 'pen' | 'touch';
  readonly shift: boolean;
  readonly alt: boolean;
}

export interface KeyPress {
  /** As in `KeyboardEvent.key`; never with Ctrl, Meta or Alt, which are not the tools'. */
  readonly key: string;
  readonly shift: boolean;
  /** The middle of the view, in picture pixels: where a keyboard begins that has not been anywhere yet. */
  readonly middle: Point;
}

/** What a tool shows over the picture, in picture pixels, as lines that are seen on black and on white. */
export type Outline =
  | { readonly kind: 'circle'; readonly at: Point; readonly radius: number }
  | { readonly kind: 'path'; readonly points: readonly Point[]; readonly isClosed: boolean };

/**
 * What a tool is doing: idle, painting, … A handler returns the state that follows, or undefined where the event is
 * nothing to this state, which then stays. A tool of several clicks, such as a polygon, is a state that stays after
 * the release.
 */
export interface ToolState {
  readonly name: string;
  /** In CSS. */
  readonly cursor?: string;
  press?(sample: PointerSample): ToolState | undefined;
  /** @param samples since the last call, the oldest first; at least one */
  move?(samples: readonly PointerSample[]): ToolState | undefined;
  release?(): ToolState | undefined;
  /** The pointer has left the view. */
  leave?(): void;
  key?(press: KeyPress): ToolState | undefined;
  /** Takes back what is under way. A state without it has nothing under way. */
  cancel?(): ToolState;
  /** Ends in order what is under way, as another tool is chosen; what was done stays. */
  complete?(): void;
  outlines?(): readonly Outline[];
}

/** A tool is its first state, in which nothing is under way. */
export type Tool = ToolState;
