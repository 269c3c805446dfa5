import { computed, effect, signal } from '@preact/signals';
import type { Size } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import { maskBounds } from '../../../shared/mask.ts';
import type { Picture } from '../../panel/host.ts';
import { createEditableMask, type EditableMask } from '../../picture/mask-edit.ts';
import type { CaptureChoice, SelectedNode, Selection, Source } from '../protocol.ts';
import { captureDecoded } from './picture.ts';
import type { Sandbox } from './sandbox.ts';

export type MaskChoice =
  | { readonly kind: 'node'; readonly node: SelectedNode }
  /** Painted over the picture of the node `of`. */
  | {
      readonly kind: 'brush';
      readonly of: SelectedNode;
      readonly picture: Picture;
      readonly paint: EditableMask;
    };

/** The last capture, to show results over. */
export interface Taken {
  readonly target: string;
  readonly edit: Picture;
}

/** Tracks which node is edited, inside which mask. */
export function createWork(sandbox: Sandbox) {
  const selection = signal<Selection>({ count: 0, nodes: [] });
  const pinned = signal<SelectedNode | undefined>(undefined);
  const mask = signal<MaskChoice | undefined>(undefined);
  const taken = signal<Taken | undefined>(undefined);
  /** The result whose recipe the next run repeats. */
  let again: SelectedNode | undefined;
  let last: CaptureChoice | undefined;

  const others = computed(() => {
    const choice = mask.value;
    return selection.value.nodes.filter(
      ({ id }) => id !== pinned.value?.id && !(choice?.kind === 'node' && id === choice.node.id),
    );
  });
  const target = computed(() => pinned.value ?? (others.value.length === 1 ? others.value[0] : undefined));
  const obstacle = computed(() => {
    if (target.value) return target.value.obstacle;
    return others.value.length > 1 ? 'Select one layer to edit' : 'Select a layer to edit';
  });
  /** The size of the target's picture, in pixels; undefined until known. */
  const size = signal<Size | undefined>(undefined);

  effect(() => {
    const id = target.value?.obstacle === '' ? target.value.id : undefined;
    size.value = undefined;
    if (id === undefined) return;
    void sandbox.call('measure', id).then(
      (measured) => {
        if (target.value?.id === id) size.value = measured;
      },
      // The node has gone in the meantime: the next selection report will show that.
      () => undefined,
    );
  });

  sandbox.on('selection', (selected) => {
    selection.value = selected;
    const again = selected.nodes.find(({ id }) => id === pinned.value?.id);
    if (again) pinned.value = again;
  });
  void sandbox.call('selection', undefined).then((selected) => {
    selection.value = selected;
  });

  function chosen(): SelectedNode {
    const node = target.value;
    if (node && obstacle.value === '') return node;
    throw new CodedError('request-invalid', {
      detail: `${obstacle.value}.`,
      remedy: 'Select the layer that shall change in the document.',
    });
  }

  return {
    selection,
    pinned,
    mask,
    taken,
    target,
    obstacle,
    size,
    /** The rest of the selection, without the edited node and its mask. */
    others,

    pin(): void {
      pinned.value = pinned.value ? undefined : target.value;
    },

    useSelectionAsMask(): void {
      const [node, second] = selection.value.nodes.filter(({ id }) => id !== pinned.value?.id);
      if (!node || second || node.obstacle !== '') {
        throw new CodedError('request-invalid', {
          detail: node?.obstacle ? `${node.obstacle}.` : 'A mask is one layer.',
          remedy:
            'Select one shape, vector, text or mask layer over the picture, then press the button again.',
        });
      }
      mask.value = { kind: 'node', node };
    },

    /** Fetches the edited node's picture to paint on. */
    async paintMask(): Promise<void> {
      const of = chosen();
      const { edit: picture } = await captureDecoded(sandbox, { kind: 'node', id: of.id });
      mask.value = { kind: 'brush', of, picture, paint: createEditableMask(picture) };
    },

    clearMask(): void {
      mask.value = undefined;
    },

    /** Makes the next run repeat this result's edit. */
    repeat(result: SelectedNode): void {
      again = result;
    },

    /**
     * What the sandbox should capture now; repeating a result only applies once.
     * @param asBefore whether to capture the same as last time
     */
    choice(asBefore: boolean): CaptureChoice {
      if (asBefore && last) return last;
      const result = again;
      again = undefined;
      if (result) last = { kind: 'again', resultId: result.id };
      else {
        const { id } = chosen();
        const maskId = mask.value?.kind === 'node' ? { maskId: mask.value.node.id } : {};
        last = { kind: 'node', id, ...maskId };
      }
      return last;
    },

    /** The painted mask, if it belongs to the capture. */
    painted(source: Source, edit: Picture): Uint8Array | undefined {
      const choice = mask.value;
      if (choice?.kind !== 'brush') return undefined;
      const { of, paint } = choice;
      if (of.id !== source.id || paint.width !== edit.width || paint.height !== edit.height) {
        throw new CodedError('mask-size', {
          detail: `The mask was painted over "${of.name}" as it was then, which is not what is edited now.`,
          remedy: 'Remove the mask, or paint it again.',
        });
      }
      return maskBounds(paint) ? paint.data : undefined;
    },
  };
}

export type Work = ReturnType<typeof createWork>;
