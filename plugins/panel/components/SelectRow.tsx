import { on } from './on.ts';

export interface SelectRowProps {
  readonly name: string;
  /** Undefined leaves it to the companion. */
  readonly value: string | undefined;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onChange: (value: string | undefined) => void;
}

/** A name and a list to choose from, whose first entry is `auto`. */
export function SelectRow({ name, value, options, onChange }: SelectRowProps) {
  const isKnown = value === undefined || options.some(([option]) => option === value);
  return (
    <div class="number-row">
      <span class="number-name">{name}</span>
      <select
        aria-label={name}
        // The value goes through a ref: a select in some hosts ignores it before its options are there.
        ref={(select) => {
          if (select) select.value = value ?? '';
        }}
        {...on({ change: (event) => onChange((event.target as HTMLSelectElement).value || undefined) })}
      >
        <option value="">auto</option>
        {!isKnown && <option value={value}>{value} (not there)</option>}
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}
