import { on } from '../panel/components/on.ts';
import type { Source } from './capture.ts';

export interface SourceChooserProps {
  readonly value: Source;
  readonly onChange: (source: Source) => void;
}

const names: Readonly<Record<Source, string>> = {
  composite: 'What I see',
  layer: 'Selected layer',
};

/** What is edited. */
export function SourceChooser({ value, onChange }: SourceChooserProps) {
  return (
    <section class="field" aria-label="Edit">
      <h2 class="field-title">Edit</h2>
      <div class="choices">
        {Object.entries(names).map(([source, name]) => (
          <button
            key={source}
            class="choice"
            type="button"
            aria-pressed={source === value}
            {...on({ click: () => onChange(source as Source) })}
          >
            {name}
          </button>
        ))}
      </div>
    </section>
  );
}
