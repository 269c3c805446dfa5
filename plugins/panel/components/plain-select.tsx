import { fieldValue } from './field-value.ts';
import { on } from './on.ts';

export interface PlainSelectProps<Value extends string> {
  readonly label: string;
  readonly value: Value;
  readonly options: readonly (readonly [value: Value, text: string])[];
  readonly onChange: (value: Value) => void;
}

/** A drop-down list. */
export function PlainSelect<Value extends string>({
  label,
  value,
  options,
  onChange,
}: PlainSelectProps<Value>) {
  return (
    <select
      aria-label={label}
      // Set the value through a ref: in some hosts a select ignores it until its options exist.
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
