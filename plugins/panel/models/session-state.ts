import { type Bounds, moved } from '../../../shared/bounds.ts';
import type { CodedError } from '../../../shared/errors.ts';
import type { EditEvent, Stage } from '../../../shared/protocol/events.ts';
import type { Placement } from '../host.ts';

export interface Preview {
  /** A data URL. */
  readonly url: string;
  /** In document pixels; absent if the companion doesn't send them. */
  readonly bounds: Bounds | undefined;
}

export type SessionState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'capturing' }
  | { readonly kind: 'queued'; readonly position: number }
  | {
      readonly kind: 'running';
      readonly stage: Stage;
      readonly variant: number;
      readonly variants: number;
      readonly step: number;
      readonly steps: number;
      readonly secondsLeft: number | undefined;
      readonly preview: Preview | undefined;
    }
  | {
      readonly kind: 'done';
      readonly variants: readonly Placement[];
      readonly chosen: number;
      /** Why placing failed; it can be retried. */
      readonly error?: CodedError;
    }
  | { readonly kind: 'placing' }
  | { readonly kind: 'failed'; readonly error: CodedError }
  | { readonly kind: 'cancelled' };

export type Running = Extract<SessionState, { kind: 'running' }>;
export type Done = Extract<SessionState, { kind: 'done' }>;

const busyKinds: readonly SessionState['kind'][] = ['capturing', 'queued', 'running', 'placing'];

/** Whether an edit is running, so that no other can start. */
export function isBusy(state: SessionState): boolean {
  return busyKinds.includes(state.kind);
}

const started: Running = {
  kind: 'running',
  stage: 'loading',
  variant: 0,
  variants: 1,
  step: 0,
  steps: 0,
  secondsLeft: undefined,
  preview: undefined,
};

/**
 * The state after an event of an edit that continues; a final event changes nothing here.
 * @param origin of the edit image in the document: the companion knows only the image
 */
export function afterEvent(
  state: SessionState,
  event: EditEvent,
  origin: { readonly left: number; readonly top: number },
): SessionState {
  const before = state.kind === 'running' ? state : started;
  switch (event.type) {
    case 'queued':
      return { kind: 'queued', position: event.position };
    case 'stage': {
      const { stage, variant, variants, secondsLeft = before.secondsLeft } = event;
      return { ...before, stage, variant, variants, secondsLeft };
    }
    case 'step': {
      const { variant, variants, step, steps, secondsLeft, preview, previewBounds } = event;
      return {
        kind: 'running',
        stage: 'denoising',
        variant,
        variants,
        step,
        steps,
        secondsLeft,
        preview: preview
          ? {
              url: `data:image/jpeg;base64,${preview}`,
              bounds: previewBounds && moved(previewBounds, origin),
            }
          : before.preview,
      };
    }
    default:
      return state;
  }
}
