import type { SessionState } from '../models/session-state.ts';

export interface ProgressProps {
  readonly state: SessionState;
  readonly reconnecting: boolean;
  /** What blocks a run while nothing is running. */
  readonly obstacle: string;
}

const stageWords = {
  loading: 'Loading the model',
  encoding: 'Reading the instruction and pictures',
  denoising: 'Painting',
  decoding: 'Developing',
  compositing: 'Blending into the picture',
} as const;

/** The edit's progress. Its height is the same in every state, so the layout doesn't jump. */
export function Progress({ state, reconnecting, obstacle }: ProgressProps) {
  const share = shareDone(state);
  // Why Run is blocked matters more than how the last run ended.
  const said = isShown(state) ? words(state) : obstacle || words(state);
  const isIdle = !isShown(state) && !said && !reconnecting;
  return (
    <div class={isIdle ? 'progress idle' : 'progress'} aria-live="polite">
      <div
        class="progress-track"
        role="progressbar"
        aria-label="Progress of the edit"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        style={{ visibility: isShown(state) ? 'visible' : 'hidden' }}
      >
        <div class="progress-bar" style={{ width: `${share * 100}%` }} />
      </div>
      <p class="progress-words">
        <span>{reconnecting ? 'Reconnecting to the companion…' : said}</span>
        <span class="time-left">{timeLeft(state)}</span>
      </p>
    </div>
  );
}

function isShown({ kind }: SessionState): boolean {
  return kind === 'capturing' || kind === 'queued' || kind === 'running' || kind === 'placing';
}

/** The share of steps done, over all variants. */
function shareDone(state: SessionState): number {
  if (state.kind === 'done' || state.kind === 'placing') return 1;
  if (state.kind !== 'running' || state.steps === 0) return 0;
  const ofVariant = state.step / state.steps;
  return Math.min(1, (Math.max(0, state.variant) + ofVariant) / state.variants);
}

function words(state: SessionState): string {
  switch (state.kind) {
    case 'idle':
    case 'done':
    case 'failed':
      return '';
    case 'capturing':
      return 'Sending the picture';
    case 'queued':
      return state.position > 0 ? `Waiting, ${state.position} ahead of you` : 'Waiting for the engine';
    case 'placing':
      return 'Placing the layer';
    case 'cancelled':
      return 'Cancelled. Nothing changed.';
    case 'running': {
      if (state.stage !== 'denoising') return stageWords[state.stage];
      const variant = state.variants > 1 ? ` · variant ${state.variant + 1} of ${state.variants}` : '';
      return `Step ${state.step} of ${state.steps}${variant}`;
    }
  }
}

function timeLeft(state: SessionState): string {
  if (state.kind !== 'running' || state.secondsLeft === undefined) return '';
  const seconds = Math.ceil(state.secondsLeft);
  if (seconds < 60) return `${seconds} s left`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s left`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min left`;
}
