import { fieldValue } from './field-value.ts';
import { on } from './on.ts';

export interface PlainSelectProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly options: readonly (readonly [value: Value, text: string])[];
  readonly onChange: (value: Value) => void;
}

/** A list to choose one of. */
export function PlainSelect<Value extends string>({
  label,
  value,
  options,
  onChange,
}: PlainSelectProps<Value>) {
  return (
    <select
      aria-label={label}
      // The value goes through a ref: a select in some hosts ignores it before its options are there.
      ref={(select) => {
        if (select) select.value = value;
      }}
      {...on({
        change: (event) => {
          const chosen = options.find(([option]) => option === fieldValue(event));
          if (chosen) onChange(chosen[0]);
        },
      })}
    >
      {options.map(([option, text]) => (
        <option key={option} value={option}>
          {text}
        </option>
      ))}
    </select>
  );
}
