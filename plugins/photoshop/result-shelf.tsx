import { on } from '../panel/components/on.ts';
import type { UnkeptResult } from './results.ts';

export interface ResultShelfProps {
  /** The active document's results. */
  readonly results: readonly UnkeptResult[];
  readonly shown: number | undefined;
  readonly busy: boolean;
  readonly onShow: (layerID: number) => void;
  readonly onKeep: (layerID: number) => void;
  readonly onDiscard: (layerID: number) => void;
  readonly onAgain: () => void;
}

/** Results placed as layers but not kept yet: compare them, then keep or discard them. */
export function ResultShelf({ results, shown, busy, onShow, onKeep, onDiscard, onAgain }: ResultShelfProps) {
  const current = results.find(({ layerID }) => layerID === shown) ?? results.at(-1);
  if (!current) return null;
  const { layerID, name, seed } = current;
  return (
    <section class="shelf" aria-label="Results">
      <p class="shelf-words">
        <span class="subject-title">
          {results.length === 1 ? 'Not kept yet' : `${results.length} not kept yet`}
        </span>
        <span class="subject-detail" title={name}>
          {`seed ${seed} · “${name}”`}
        </span>
      </p>
      {results.length > 1 && (
        <div class="variants">
          {results.map((result, i) => (
            <button
              key={result.layerID}
              class={result.layerID === layerID ? 'variant pressed' : 'variant'}
              type="button"
              disabled={busy}
              aria-pressed={result.layerID === layerID}
              aria-label={`Result ${i + 1}`}
              title={`“${result.name}”, seed ${result.seed}`}
              {...on({ click: () => onShow(result.layerID) })}
            >
              {i + 1}
            </button>
          ))}
        </div>
      )}
      <div class="shelf-buttons">
        <button class="secondary" type="button" disabled={busy} {...on({ click: () => onKeep(layerID) })}>
          Keep
        </button>
        <button class="secondary" type="button" disabled={busy} {...on({ click: () => onDiscard(layerID) })}>
          Discard
        </button>
        <button class="secondary again" type="button" disabled={busy} {...on({ click: onAgain })}>
          New seed
        </button>
      </div>
    </section>
  );
}
