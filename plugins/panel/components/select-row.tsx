import { PlainSelect } from './plain-select.tsx';

export interface SelectRowProps {
  readonly name: string;
  /** Undefined leaves it to the companion. */
  readonly value: string | undefined;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onChange: (value: string | undefined) => void;
}

/** A label and a drop-down list whose first entry is `auto`. */
export function SelectRow({ name, value, options, onChange }: SelectRowProps) {
  const isKnown = value === undefined || options.some(([option]) => option === value);
  return (
    <div class="number-row">
      <span class="number-name">{name}</span>
      <PlainSelect
        label={name}
        value={value ?? ''}
        options={[
          ['', 'auto'],
          ...(isKnown ? [] : [[value, `${value} (not installed)`] as const]),
          ...options,
        ]}
        onChange={(chosen) => onChange(chosen || undefined)}
      />
    </div>
  );
}
