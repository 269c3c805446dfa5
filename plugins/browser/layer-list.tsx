import { on } from '../panel/components/on.ts';
import type { Layer } from './document.ts';

export interface LayerListProps {
  readonly layers: readonly Layer[];
  readonly onToggle: (id: string) => void;
  readonly onDelete: (id: string) => void;
}

/** The kept results, topmost first. */
export function LayerList({ layers, onToggle, onDelete }: LayerListProps) {
  return (
    <section class="field" aria-label="Layers">
      <h2 class="field-title">Layers</h2>
      {layers.length === 0 ? (
        <p class="hint">Results that you keep are listed here.</p>
      ) : (
        <ol class="layers">
          {[...layers].reverse().map(({ id, name, visible }) => (
            <li key={id} class="layer">
              <button
                class="icon"
                type="button"
                aria-pressed={visible}
                aria-label={`${visible ? 'Hide' : 'Show'} ${name}`}
                title={visible ? 'Hide' : 'Show'}
                {...on({ click: () => onToggle(id) })}
              >
                {visible ? '●' : '○'}
              </button>
              <span class={visible ? 'layer-name' : 'layer-name hidden-layer'} title={name}>
                {name}
              </span>
              <button
                class="icon"
                type="button"
                aria-label={`Delete ${name}`}
                title="Delete"
                {...on({ click: () => onDelete(id) })}
              >
                ×
              </button>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
