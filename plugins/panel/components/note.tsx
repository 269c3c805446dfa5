import { Icon } from './icon.tsx';
import { on } from './on.ts';

export interface NoteProps {
  readonly text: string;
  readonly onDismiss: () => void;
}

/** Information that needs no action. */
export function Note({ text, onDismiss }: NoteProps) {
  return (
    <div class="note" aria-live="polite">
      <p class="error-words">{text}</p>
      <button class="icon" type="button" aria-label="Dismiss" title="Dismiss" {...on({ click: onDismiss })}>
        <Icon name="close" />
      </button>
    </div>
  );
}
