import type { Problem } from './errors.ts';

export type EditState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

/** What the engine is doing, in the order in which it happens. */
export type Stage = 'loading' | 'encoding' | 'denoising' | 'decoding' | 'compositing';

/** What happens to one edit, in order. `seq` counts from 1 within the edit. */
export type EditEvent = { readonly seq: number; readonly time: string } & EditEventBody;

export type EditEventBody =
  | { readonly type: 'queued'; readonly position: number }
  | {
      readonly type: 'stage';
      readonly stage: Stage;
      readonly variant: number;
      readonly variants: number;
      /** As in `step`, where an earlier edit on this machine tells. */
      readonly secondsLeft?: number;
    }
  /** Something the person should know before the result, such as "your reference lowers this edit to 720x720". */
  | { readonly type: 'note'; readonly text: string }
  | {
      readonly type: 'step';
      readonly variant: number;
      readonly variants: number;
      /** Steps done, 1..steps. */
      readonly step: number;
      readonly steps: number;
      /** Estimate for everything that is left of this edit. */
      readonly secondsLeft: number;
      /** JPEG of the layer as it looks now, base64, if the request asked for previews. */
      readonly preview?: string;
      /** Where the preview lies in the edit image. */
      readonly previewBounds?: Bounds;
    }
  | { readonly type: 'done'; readonly results: readonly EditResult[] }
  | { readonly type: 'failed'; readonly problem: Problem }
  | { readonly type: 'cancelled' };

/** A rectangle of pixels in the edit image; `left` and `top` may be negative. */
export interface Bounds {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** What is told of one variant's layer, in the result's metadata and on the command line. */
export interface EditResult {
  readonly variant: number;
  readonly bounds: Bounds;
  readonly seed: number;
  readonly steps: number;
  /** Steps that the first-block cache spared, where the request asked for it. */
  readonly stepsReused?: number;
  readonly guidance: number;
  readonly task: string;
  readonly model: string;
  readonly adapters: readonly { readonly name: string; readonly scale: number }[];
  readonly provider: string;
  /** How often the edit was started, where a crash or a restart made it more than once. */
  readonly runs?: number;
  /** Size in pixels at which the model worked, references not counted. */
  readonly workSize: { readonly width: number; readonly height: number };
  /** Seconds by stage. */
  readonly timings: Readonly<Record<string, number>>;
}
