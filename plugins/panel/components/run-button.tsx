import { on } from './on.ts';

export interface RunButtonProps {
  readonly busy: boolean;
  readonly disabled: boolean;
  /** Why it is disabled, or how else to press it. */
  readonly hint: string;
  readonly onRun: () => void;
  readonly onCancel: () => void;
}

/** The one primary button; during an edit it cancels. */
export function RunButton({ busy, disabled, hint, onRun, onCancel }: RunButtonProps) {
  return (
    <button
      class={busy ? 'primary busy' : 'primary'}
      type="button"
      disabled={disabled && !busy}
      title={hint}
      {...on({ click: busy ? onCancel : onRun })}
    >
      {busy ? 'Cancel' : 'Run'}
    </button>
  );
}
