import { absentReferencesNote } from '../../../shared/intent/named-references.ts';
import { fieldValue } from './field-value.ts';
import { on } from './on.ts';

export interface InstructionFieldProps {
  readonly value: string;
  readonly references: number;
  /** Whether the model knows `{image1}` and so on. */
  readonly namesReferences: boolean;
  readonly onChange: (text: string) => void;
}

/** What to do, in words. */
export function InstructionField({ value, references, namesReferences, onChange }: InstructionFieldProps) {
  const advice = namesReferences ? nameThem(references) : 'Describe what should be seen.';
  const hint = absentReferencesNote(value, references) ?? (references === 0 ? '' : advice);
  return (
    <section class="field">
      <h2 class="field-title">Instruction</h2>
      <textarea
        class="instruction"
        rows={4}
        aria-label="Instruction"
        placeholder="What should be there? For example: a red circle"
        maxLength={4000}
        value={value}
        {...on({ input: (event) => onChange(fieldValue(event)) })}
      />
      <p class={hint === '' ? 'hint idle' : 'hint'} aria-live="polite">
        {hint || ' '}
      </p>
    </section>
  );
}

function nameThem(references: number): string {
  return `Say {image1}${references > 1 ? ` to {image${references}}` : ''} where you mean a reference.`;
}
