import { computed, signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useMemo, useState } from 'preact/hooks';
import { boundsOf, type Size } from '../../../shared/bounds.ts';
import { fieldValue } from '../../panel/components/field-value.ts';
import { on } from '../../panel/components/on.ts';
import type { Picture, Placement } from '../../panel/host.ts';
import type { Preview } from '../../panel/models/session-state.ts';
import { createCamera } from '../../picture/camera.ts';
import type { EditableMask } from '../../picture/mask-edit.ts';
import type { Scene } from '../../picture/painter.ts';
import { PictureView } from '../../picture/picture-view.tsx';
import { withEightBits } from '../../picture/pixels.ts';
import { createBrushTool } from '../../picture/tools/brush-tool.ts';

export interface EditPictureProps {
  /** The original picture; absent if only the result is known. */
  readonly picture: Picture | undefined;
  /** The mask to paint on. */
  readonly mask?: EditableMask;
  readonly candidate?: Placement;
  readonly preview?: Preview;
  /** Further actions for the candidate. */
  readonly children?: ComponentChildren;
}

/** In percent of the picture's longer side. */
const brushPercent = 8;
const tint = 0.5;
/** In CSS pixels: the panel is small. */
const greatestHeight = 200;

/** A small view of the edited picture, to paint a mask on and to see the result in. */
export function EditPicture({ picture, mask, candidate, preview, children }: EditPictureProps) {
  const layer = candidate && withEightBits(candidate.layer);
  const size = picture ?? layer ?? { width: 1, height: 1 };
  const [isBefore, setIsBefore] = useState(false);
  const model = useMemo(() => createModel(mask), [mask]);
  useLayoutEffect(() => {
    // Without the picture below it, the result is all there is to show.
    const bounds = picture ? candidate?.bounds : layer && boundsOf(layer);
    model.scene.value = {
      size,
      base: picture,
      layers: layer && bounds ? [{ picture: layer, bounds }] : [],
      preview: candidate ? undefined : preview,
      mask,
      tint,
      cutsPreview: false,
      before: isBefore && picture ? 1 : 0,
    };
  }, [model, picture, layer, candidate, preview, mask, isBefore]);

  return (
    <div class="picture-view">
      <PictureView
        class="picture"
        style={styleOf(size)}
        label={
          mask
            ? 'Paint the mask: arrow keys move the brush, with Shift they paint, Enter paints a dot; + and - zoom, 0 fits'
            : 'Preview of the edit'
        }
        camera={model.camera}
        scene={model.scene}
        {...(mask && { tool: model.tool })}
      />
      {mask && (
        <div class="brush-row">
          <button
            class="secondary"
            type="button"
            aria-pressed={model.erase.value}
            {...on({
              click: () => {
                model.erase.value = !model.erase.value;
              },
            })}
          >
            Erase
          </button>
          <span class="brush-name">Brush size</span>
          <input
            type="range"
            aria-label="Brush size"
            min={1}
            max={40}
            value={model.percent.value}
            {...on({
              input: (event) => {
                model.percent.value = Number(fieldValue(event));
              },
            })}
          />
        </div>
      )}
      {candidate && picture && (
        <div class="brush-row">
          <button
            class="secondary"
            type="button"
            aria-pressed={isBefore}
            {...on({ click: () => setIsBefore(!isBefore) })}
          >
            Show before
          </button>
          {children}
        </div>
      )}
    </div>
  );
}

function createModel(mask: EditableMask | undefined) {
  const percent = signal(brushPercent);
  const erase = signal(false);
  const longer = mask ? Math.max(mask.width, mask.height) : 0;
  const diameter = computed(() => (longer * percent.value) / 100);
  const brush = createBrushTool({ diameter, erase, edit: () => mask?.edit() });
  return {
    percent,
    erase,
    camera: createCamera(),
    scene: signal<Scene | undefined>(undefined),
    tool: signal(brush),
  };
}

/** As large as the panel allows, but never enlarged. */
function styleOf({ width, height }: Size) {
  const widest = Math.min(width, (greatestHeight * width) / height);
  return { width: `min(100%, ${widest}px)`, aspectRatio: `${width} / ${height}` };
}
