import { useState } from 'preact/hooks';
import type { ModelInfo } from '../../../shared/protocol/answers.ts';
import { maxVariants } from '../../../shared/protocol/request.ts';
import { type AdvancedSettings, noAdapter } from '../models/settings.ts';
import { fieldValue } from './field-value.ts';
import { Icon } from './icon.tsx';
import { on } from './on.ts';
import { SelectRow } from './select-row.tsx';

export interface AdvancedProps {
  readonly value: AdvancedSettings;
  /** The models that can run; the choice is only shown for two or more. */
  readonly models: readonly ModelInfo[];
  readonly onChange: (settings: AdvancedSettings) => void;
  /** Loads every setting from the selected layer's recipe; absent in hosts that keep no recipes. */
  readonly onReadLayer?: () => void;
}

/** Settings few people need, collapsed. An empty one leaves the choice to the companion. */
export function Advanced({ value, models, onChange, onReadLayer }: AdvancedProps) {
  const [open, setOpen] = useState(false);
  const adapters = models.find(({ id }) => id === value.model)?.adapters ?? [];
  return (
    <section class="field">
      <button class="disclosure" type="button" aria-expanded={open} {...on({ click: () => setOpen(!open) })}>
        <span class="disclosure-mark" aria-hidden="true">
          <Icon name={open ? 'open' : 'right'} />
        </span>
        Advanced
      </button>
      {open && (
        <div class="advanced">
          {(models.length > 1 || value.model !== undefined) && (
            <SelectRow
              name="Model"
              value={value.model}
              options={models.map(({ id }) => [id, id])}
              onChange={(model) => onChange({ ...value, model })}
            />
          )}
          {adapters.length > 0 && (
            <SelectRow
              name="Adapter"
              value={value.adapter}
              options={[[noAdapter, 'none'], ...adapters.map((adapter) => [adapter, adapter] as const)]}
              onChange={(adapter) => onChange({ ...value, adapter })}
            />
          )}
          <NumberField
            name="Seed"
            placeholder="random"
            max={0xffffffff}
            value={value.seed}
            onChange={(seed) => onChange({ ...value, seed })}
          />
          <NumberField
            name="Steps"
            placeholder="auto"
            min={1}
            max={200}
            value={value.steps}
            onChange={(steps) => onChange({ ...value, steps })}
          />
          <NumberField
            name="Guidance"
            placeholder="auto"
            max={200}
            fraction
            value={value.guidance}
            onChange={(guidance) => onChange({ ...value, guidance })}
          />
          <NumberField
            name="Variants"
            placeholder="1"
            min={1}
            max={maxVariants}
            value={value.variants}
            onChange={(variants) => onChange({ ...value, variants: variants ?? 1 })}
          />
          {onReadLayer && (
            <button class="secondary wide" type="button" {...on({ click: onReadLayer })}>
              Use the selected layer’s recipe
            </button>
          )}
        </div>
      )}
    </section>
  );
}

interface NumberFieldProps {
  readonly name: string;
  readonly placeholder: string;
  readonly min?: number;
  readonly max: number;
  readonly fraction?: boolean;
  readonly value: number | undefined;
  readonly onChange: (value: number | undefined) => void;
}

/** A bounded number, or empty. It applies as it is typed, and shows the value applied on blur. */
function NumberField({
  name,
  placeholder,
  min = 0,
  max,
  fraction = false,
  value,
  onChange,
}: NumberFieldProps) {
  // Keeps the text being typed, which a re-render would overwrite with the number.
  const [typed, setTyped] = useState<string>();
  return (
    <div class="number-row">
      <span class="number-name">{name}</span>
      <input
        class="text-input"
        type="text"
        inputMode="numeric"
        aria-label={name}
        placeholder={placeholder}
        value={typed ?? value ?? ''}
        {...on({
          input: (event) => {
            const text = fieldValue(event);
            setTyped(text);
            onChange(readNumber(text, min, max, fraction));
          },
          // `change` doesn't fire if the number ends up as it began.
          change: () => setTyped(undefined),
          blur: () => setTyped(undefined),
        })}
      />
    </div>
  );
}

function readNumber(text: string, min: number, max: number, fraction: boolean): number | undefined {
  const number = text.trim() === '' ? Number.NaN : Number(text.replace(',', '.'));
  if (Number.isNaN(number)) return undefined;
  return Math.min(max, Math.max(min, fraction ? number : Math.round(number)));
}
