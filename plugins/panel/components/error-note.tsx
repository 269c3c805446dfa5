import type { CodedError } from '../../../shared/errors.ts';
import { Icon } from './icon.tsx';
import { on } from './on.ts';

export interface ErrorNoteProps {
  readonly error: CodedError;
  readonly onDismiss?: () => void;
}

/** What went wrong and what to do about it. */
export function ErrorNote({ error, onDismiss }: ErrorNoteProps) {
  return (
    <div class="error-note" role="alert" data-code={error.code}>
      <div class="error-words">
        <p class="error-detail">{error.detail}</p>
        <p class="error-remedy">{error.remedy}</p>
      </div>
      {onDismiss && (
        <button class="icon" type="button" aria-label="Dismiss" title="Dismiss" {...on({ click: onDismiss })}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}
