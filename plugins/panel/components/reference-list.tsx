import type { Reference } from '../host.ts';
import { Icon } from './icon.tsx';
import { on } from './on.ts';

export interface ReferenceListProps {
  readonly references: readonly Reference[];
  readonly room: number;
  readonly onAdd: () => void;
  /** Adds the document's selection; absent in hosts that have none. */
  readonly onTake?: () => void;
  readonly onRemove: (id: string) => void;
  readonly onMove: (id: string, by: -1 | 1) => void;
}

/** The reference images; their order sets their names in the instruction. */
export function ReferenceList({ references, room, onAdd, onTake, onRemove, onMove }: ReferenceListProps) {
  return (
    <section class="field" aria-label="References">
      <div class="field-head">
        <h2 class="field-title">References</h2>
        <span class="field-buttons">
          {onTake && (
            <button class="quiet" type="button" disabled={room === 0} {...on({ click: onTake })}>
              Add layer
            </button>
          )}
          <button class="quiet" type="button" disabled={room === 0} {...on({ click: onAdd })}>
            Add…
          </button>
        </span>
      </div>
      {references.length === 0 ? (
        <p class="hint">Optional: pictures of things that should appear.</p>
      ) : (
        <ol class="references">
          {references.map((reference, i) => (
            <li
              key={reference.id}
              class="reference"
              {...on({
                keydown: (event) => {
                  if (!event.altKey || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
                  event.preventDefault();
                  onMove(reference.id, event.key === 'ArrowUp' ? -1 : 1);
                },
              })}
            >
              {reference.thumbnail === '' ? (
                <span class="thumbnail" />
              ) : (
                <img class="thumbnail" src={reference.thumbnail} alt="" />
              )}
              <span class="reference-text">
                <span class="reference-mark">{`{image${i + 1}}`}</span>
                <span class="reference-name" title={reference.name}>
                  {reference.name}
                </span>
              </span>
              <button
                class="icon"
                type="button"
                aria-label={`Move ${reference.name} up`}
                title="Move up (Alt+Up)"
                disabled={i === 0}
                {...on({ click: () => onMove(reference.id, -1) })}
              >
                <Icon name="up" />
              </button>
              <button
                class="icon"
                type="button"
                aria-label={`Move ${reference.name} down`}
                title="Move down (Alt+Down)"
                disabled={i === references.length - 1}
                {...on({ click: () => onMove(reference.id, 1) })}
              >
                <Icon name="down" />
              </button>
              <button
                class="icon"
                type="button"
                aria-label={`Remove ${reference.name}`}
                title="Remove"
                {...on({ click: () => onRemove(reference.id) })}
              >
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
