import { signal } from '@preact/signals';
import type { PhotoshopDocument, Rectangle } from './api.ts';
import type { Source } from './capture.ts';
import { isModal } from './modal.ts';
import { action, app, imaging } from './modules.ts';
import { type MaskSource, savedSelections } from './read-mask.ts';
import { padMask, toBounds, using } from './samples.ts';

/** What would be edited now, as text. */
export interface Subject {
  /** Such as "Selection 812 × 640". */
  readonly title: string;
  /** Such as "feathered 12 px"; empty if there is nothing to add. */
  readonly detail: string;
  /** The names of the document's saved selections. */
  readonly channels: readonly string[];
  readonly isQuickMask: boolean;
}

const nothing: Subject = { title: 'No document open', detail: '', channels: [], isQuickMask: false };

/** Entering Quick Mask mode sends no notification, so the few cheap properties are also polled. */
const millisecondsBetweenLooks = 1000;
const notifications = [
  'select',
  'set',
  'make',
  'delete',
  'open',
  'close',
  'newDocument',
  'historyStateChanged',
];

/**
 * Tracks what would be edited.
 * @param onStep called after each user action
 */
export function createSubject(
  choice: () => { readonly source: Source; readonly mask: MaskSource },
  onStep: () => void,
) {
  const subject = signal<Subject>(nothing);
  let feather: { readonly of: string; readonly pixels: number } | undefined;

  async function look(): Promise<void> {
    if (isModal()) return;
    let now: Subject;
    try {
      now = await describe();
    } catch {
      // A tool or dialog blocks it, or the document has just been closed.
      return;
    }
    if (JSON.stringify(now) !== JSON.stringify(subject.value)) subject.value = now;
  }

  async function describe(): Promise<Subject> {
    const document = app.activeDocument;
    if (!document) return nothing;
    const { source, mask } = choice();
    const channels = savedSelections(document);
    const base = { channels, isQuickMask: document.quickMaskMode, detail: '' };
    const [layer] = document.activeLayers;
    if (base.isQuickMask) return { ...base, title: `Quick mask, ${sizeOf(document)}` };
    if (mask === 'layer-mask')
      return { ...base, title: 'Layer mask', detail: layer ? `of “${layer.name}”` : '' };
    if (mask !== 'selection')
      return { ...base, title: mask.slice(mask.indexOf(':') + 1), detail: 'saved selection' };
    const { bounds } = document.selection;
    if (bounds) {
      const { width, height } = toBounds(bounds);
      const softness = await featherOf(document, bounds);
      const detail = softness > 0 ? `feathered ${softness} px` : '';
      return { ...base, title: `Selection ${sizeOf({ width, height })}`, detail };
    }
    if (source === 'composite') return { ...base, title: `Whole picture ${sizeOf(document)}` };
    if (!layer) return { ...base, title: 'No layer selected' };
    return { ...base, title: `Layer ${sizeOf(toBounds(layer.boundsNoEffects))}`, detail: `“${layer.name}”` };
  }

  /** Only measured again when the selection's bounds change. */
  async function featherOf(document: PhotoshopDocument, bounds: Rectangle): Promise<number> {
    const of = JSON.stringify([document.id, bounds]);
    if (feather?.of !== of) feather = { of, pixels: await measureFeather(document, bounds) };
    return feather.pixels;
  }

  return {
    subject,
    look,

    /** Looks now and keeps watching. Returns its own release. */
    start(): () => void {
      let stopped = false;
      const step = (): void => {
        if (stopped || isModal()) return;
        onStep();
        void look();
      };
      void action.addNotificationListener(notifications, step);
      const timer = setInterval(step, millisecondsBetweenLooks);
      step();
      return () => {
        stopped = true;
        clearInterval(timer);
      };
    },
  };
}

export type SubjectModel = ReturnType<typeof createSubject>;

function sizeOf({ width, height }: { readonly width: number; readonly height: number }): string {
  return `${width} × ${height}`;
}

/**
 * How many pixels a selection fades over at its edge, measured along its middle row from the left and its
 * middle column from the top. Only these two lines are read, however large it is.
 */
async function measureFeather(document: PhotoshopDocument, bounds: Rectangle): Promise<number> {
  const { left, top, right, bottom } = bounds;
  const [x, y] = [Math.floor((left + right) / 2), Math.floor((top + bottom) / 2)];
  const lines = [
    { left, top: y, right, bottom: y + 1 },
    { left: x, top, right: x + 1, bottom },
  ];
  let most = 0;
  for (const sourceBounds of lines) {
    const read = await imaging.getSelection({ documentID: document.id, sourceBounds });
    const line = await using(read.imageData, () => padMask(read, toBounds(sourceBounds)));
    const full = line.indexOf(255);
    if (full > 0) most = Math.max(most, line.subarray(0, full).filter((value) => value > 0).length);
  }
  return most;
}
