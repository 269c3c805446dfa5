import { fieldValue } from '../panel/components/field-value.ts';
import { on } from '../panel/components/on.ts';
import type { PageDocument } from './document.ts';
import type { Tools } from './tools.ts';

export interface ToolbarProps {
  readonly pageDocument: PageDocument;
  readonly tools: Tools;
  /** Whether there is a result to compare with. */
  readonly comparable: boolean;
  readonly paintable: boolean;
  readonly onOpen: () => void;
  readonly onFit: () => void;
  readonly onSavePNG: () => void;
  readonly onSavePSD: () => void;
}

/** The bar above the picture: open, paint, undo, compare, save. */
export function Toolbar(props: ToolbarProps) {
  const { pageDocument, tools, paintable } = props;
  const { history } = pageDocument;
  const erase = tools.erase.value;
  return (
    <div class="toolbar" role="toolbar" aria-label="Picture tools">
      <button class="tool" type="button" {...on({ click: props.onOpen })}>
        Open…
      </button>
      <span class="divider" />
      <button
        class="tool"
        type="button"
        aria-pressed={!erase}
        disabled={!paintable}
        title="Paint over what should change"
        {...on({
          click: () => {
            tools.erase.value = false;
          },
        })}
      >
        Brush
      </button>
      <button
        class="tool"
        type="button"
        aria-pressed={erase}
        disabled={!paintable}
        title="Erase the mask (E)"
        {...on({
          click: () => {
            tools.erase.value = true;
          },
        })}
      >
        Eraser
      </button>
      <span class="slider">
        <span aria-hidden="true">Size</span>
        <input
          type="range"
          aria-label="Brush size in pixels"
          title="Brush size ([ and ])"
          min={0}
          max={100}
          value={toSlider(tools.diameter.value)}
          disabled={!paintable}
          {...on({
            input: (event) => tools.resizeBrush(fromSlider(Number(fieldValue(event)))),
          })}
        />
        <output class="number">{tools.diameter.value}</output>
      </span>
      <span class="divider" />
      <button
        class="tool"
        type="button"
        disabled={!paintable}
        title="Mask the whole picture"
        {...on({ click: pageDocument.fillMask })}
      >
        All
      </button>
      <button
        class="tool"
        type="button"
        disabled={!paintable || !pageDocument.hasMask.value}
        {...on({ click: pageDocument.clearMask })}
      >
        Clear
      </button>
      <button
        class="tool"
        type="button"
        disabled={!paintable}
        title="Invert the mask"
        {...on({ click: pageDocument.invertMask })}
      >
        Invert
      </button>
      <span class="divider" />
      <button
        class="tool"
        type="button"
        disabled={!history.canUndo.value || !paintable}
        title="Undo (Ctrl+Z)"
        {...on({ click: history.undo })}
      >
        Undo
      </button>
      <button
        class="tool"
        type="button"
        disabled={!history.canRedo.value || !paintable}
        title="Redo (Ctrl+Shift+Z)"
        {...on({ click: history.redo })}
      >
        Redo
      </button>
      <button
        class="tool"
        type="button"
        title="Fit the picture in the window (0)"
        {...on({ click: props.onFit })}
      >
        Fit
      </button>
      <span class="space" />
      <span class={props.comparable ? 'slider' : 'slider absent'}>
        <span aria-hidden="true">Before</span>
        <input
          type="range"
          aria-label="Compare: how much of the picture is shown as it was before"
          title="Drag to compare, or hold B"
          min={0}
          max={100}
          value={Math.round(tools.split.value * 100)}
          {...on({
            input: (event) => {
              tools.split.value = Number(fieldValue(event)) / 100;
            },
          })}
        />
      </span>
      <span class="divider" />
      <span class="tool-group" aria-hidden="true">
        Save
      </span>
      <button
        class="tool"
        type="button"
        aria-label="Save as PNG"
        title="Save the picture as it looks"
        {...on({ click: props.onSavePNG })}
      >
        PNG
      </button>
      <button
        class="tool"
        type="button"
        aria-label="Save as PSD"
        title="Save with each kept result as a masked layer"
        {...on({ click: props.onSavePSD })}
      >
        PSD
      </button>
    </div>
  );
}

/** The slider is logarithmic: small brushes need fine steps. 0..100 is 1..1000 pixels. */
function toSlider(diameter: number): number {
  return Math.round((Math.log10(diameter) / 3) * 100);
}

function fromSlider(value: number): number {
  return 10 ** ((value / 100) * 3);
}
