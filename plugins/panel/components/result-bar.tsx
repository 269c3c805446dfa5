import type { Placement } from '../host.ts';
import { on } from './on.ts';

export interface ResultBarProps {
  readonly variants: readonly Placement[];
  readonly chosen: number;
  /** Absent if the host places every variant at once. */
  readonly onChoose?: (variant: number) => void;
  readonly onKeep: () => void;
  readonly onDiscard: () => void;
  readonly onAgain: () => void;
}

/** Actions for a result: choose a variant, keep it as a layer, or discard it. */
export function ResultBar({ variants, chosen, onChoose, onKeep, onDiscard, onAgain }: ResultBarProps) {
  return (
    <section class="result" aria-label="Result">
      {variants.length > 1 && onChoose && (
        <div class="variants">
          {variants.map((variant, i) => (
            <button
              key={variant.recipe.variant}
              class={i === chosen ? 'variant pressed' : 'variant'}
              type="button"
              aria-pressed={i === chosen}
              aria-label={`Variant ${i + 1}`}
              title={`Seed ${variant.recipe.seed}`}
              {...on({ click: () => onChoose(i) })}
            >
              {i + 1}
            </button>
          ))}
        </div>
      )}
      <div class="result-buttons">
        <button class="primary" type="button" {...on({ click: onKeep })}>
          {variants.length > 1 && !onChoose ? 'Keep as layers' : 'Keep as layer'}
        </button>
        <button class="secondary" type="button" {...on({ click: onDiscard })}>
          Discard
        </button>
      </div>
      <button class="secondary wide" type="button" {...on({ click: onAgain })}>
        Run again with a new seed
      </button>
      <p class="hint">{recipeWords(variants[chosen])}</p>
    </section>
  );
}

function recipeWords(placement: Placement | undefined): string {
  if (!placement) return '';
  const { seed, steps, workSize } = placement.recipe;
  return `Seed ${seed}, ${steps} steps, computed at ${workSize.width} × ${workSize.height}.`;
}
