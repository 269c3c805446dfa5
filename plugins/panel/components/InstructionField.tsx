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
        {...on({ input: (event) => onChange((event.target as HTMLTextAreaElement).value) })}
      />
      <p class={references === 0 ? 'hint idle' : 'hint'}>
        {references === 0 ? ' ' : namesReferences ? nameThem(references) : 'Describe what should be seen.'}
      </p>
    </section>
  );
}

function nameThem(references: number): string {
  return `Say {image1}${references > 1 ? ` to {image${references}}` : ''} where you mean a reference.`;
}
