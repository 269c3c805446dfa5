import type { Size } from '../../../shared/bounds.ts';
import { on } from '../../panel/components/on.ts';
import type { SelectedNode } from '../protocol.ts';
import type { MaskChoice } from './work.ts';

export interface EditLayerProps {
  readonly target: SelectedNode | undefined;
  /** The size of the picture to capture, in pixels; undefined until known. */
  readonly size: Size | undefined;
  readonly obstacle: string;
  readonly isPinned: boolean;
  readonly mask: MaskChoice | undefined;
  readonly busy: boolean;
  /** Whether the selection could be used as a mask. */
  readonly hasSelection: boolean;
  readonly onPin: () => void;
  readonly onUseAsMask: () => void;
  readonly onPaintMask: () => void;
  readonly onClearMask: () => void;
  /** Reruns the selected result's edit; absent if it isn't a result. */
  readonly onRepeat?: () => void;
}

/** What is edited, how large it is, and inside which mask. */
export function EditLayer(props: EditLayerProps) {
  const { target, size, obstacle, isPinned, mask, busy } = props;
  return (
    <section class="edit-layer" aria-label="Layer to edit">
      <div class="pick-row">
        {target ? (
          <h2 class="pick-title">
            <span class="pick-name" title={target.name}>
              {target.name}
            </span>
            {size && <span class="pick-size">{`${size.width} × ${size.height}`}</span>}
          </h2>
        ) : (
          <span class="pick-name pick-none">{obstacle}</span>
        )}
        {target && (
          <button
            class="quiet"
            type="button"
            aria-pressed={isPinned}
            disabled={busy}
            title="Keep this layer while you select masks and references"
            {...on({ click: props.onPin })}
          >
            {isPinned ? 'Pinned' : 'Pin'}
          </button>
        )}
      </div>
      <div class="pick-row">
        <span class="pick-role">Mask</span>
        {mask ? (
          <>
            <span class="pick-name" title={mask.kind === 'node' ? mask.node.name : ''}>
              {mask.kind === 'node' ? mask.node.name : 'Painted below'}
            </span>
            <button class="quiet" type="button" disabled={busy} {...on({ click: props.onClearMask })}>
              Remove
            </button>
          </>
        ) : (
          <>
            <span class="pick-name pick-none">Whole layer</span>
            <button
              class="quiet"
              type="button"
              disabled={busy || !props.hasSelection}
              title="Limit the edit to the selected shape, vector, text or mask layer"
              {...on({ click: props.onUseAsMask })}
            >
              Use as mask
            </button>
            <button
              class="quiet"
              type="button"
              disabled={busy || !target || obstacle !== ''}
              {...on({ click: props.onPaintMask })}
            >
              Paint
            </button>
          </>
        )}
      </div>
      {props.onRepeat && (
        <button class="secondary wide" type="button" disabled={busy} {...on({ click: props.onRepeat })}>
          Run this result’s recipe again
        </button>
      )}
    </section>
  );
}
