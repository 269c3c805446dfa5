import { fieldValue } from './field-value.ts';
import { on } from './on.ts';

export interface PlainSelectProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onChange: (value: string) => void;
}

/** A list to choose one of. */
export function PlainSelect({ label, value, options, onChange }: PlainSelectProps) {
  return (
    <select
      aria-label={label}
      // The value goes through a ref: a select in some hosts ignores it before its options are there.
      ref={(select) => {
        if (select) select.value = value;
      }}
      {...on({ change: (event) => onChange(fieldValue(event)) })}
    >
      {options.map(([option, text]) => (
        <option key={option} value={option}>
          {text}
        </option>
      ))}
    </select>
  );
}
