import { computed } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { Session } from '../panel/models/session.ts';
import type { Scene } from '../picture/painter.ts';
import { PictureView } from '../picture/picture-view.tsx';
import { withEightBits } from '../picture/pixels.ts';
import { createBrushTool } from '../picture/tools/brush-tool.ts';
import type { PageDocument } from './document.ts';
import type { Tools } from './tools.ts';

export interface StageProps {
  readonly pageDocument: PageDocument;
  readonly session: Session;
  readonly tools: Tools;
}

/** How strongly the mask is tinted. */
const tint = 0.5;

/** The open picture, which can be painted on unless an edit is running. */
export function Stage({ pageDocument, session, tools }: StageProps) {
  const { scene, tool } = useMemo(
    () => createStage({ pageDocument, session, tools }),
    [pageDocument, session, tools],
  );
  return (
    <PictureView
      class="stage"
      label="Picture. Arrow keys move the brush, with Shift they paint, Enter paints a dot. E switches to erasing, + and - zoom, 0 fits."
      camera={tools.camera}
      scene={scene}
      tool={tool}
    />
  );
}

function createStage({ pageDocument, session, tools }: StageProps) {
  const brush = createBrushTool({ ...tools, edit: pageDocument.editMask });

  const scene = computed((): Scene | undefined => {
    const open = pageDocument.open.value;
    if (!open) return undefined;
    const state = session.state.value;
    const candidate = state.kind === 'done' ? state.variants[state.chosen] : undefined;
    const preview = state.kind === 'running' ? state.preview : undefined;
    const layers = pageDocument.layers.value.filter(({ visible }) => visible);
    const showsBefore = tools.showBefore.value;
    return {
      size: open.picture,
      base: open.picture,
      layers: candidate
        ? [...layers, { picture: withEightBits(candidate.layer), bounds: candidate.bounds }]
        : layers,
      preview,
      mask: open.mask,
      tint: state.kind === 'done' || preview?.bounds || showsBefore ? 0 : tint,
      cutsPreview: pageDocument.hasMask.value,
      before: showsBefore ? 1 : tools.split.value,
    };
  });

  const tool = computed(() => {
    const { kind } = session.state.value;
    return kind === 'idle' || kind === 'failed' || kind === 'cancelled' ? brush : undefined;
  });
  return { scene, tool };
}
