import { composite } from '../../../shared/composite.ts';
import { CodedError } from '../../../shared/errors.ts';
import { maskBounds } from '../../../shared/mask.ts';
import { maxReferences, parseEditRequest } from '../../../shared/protocol/request.ts';
import type { Host, Picture, Placement, Reference } from '../../panel/host.ts';
import { decodeReference } from '../../picture/decode.ts';
import { pickFiles } from '../../picture/pick.ts';
import { withEightBits } from '../../picture/pixels.ts';
import type { ExportedNode } from '../protocol.ts';
import { parseRecipe, type Recipe } from '../recipe.ts';
import { rasterMask } from './mask.ts';
import { captureDecoded } from './picture.ts';
import type { Sandbox } from './sandbox.ts';
import { explainSilence } from './silence.ts';
import { type NodeTarget, readTarget } from './target.ts';
import { maxImageSide, tilesOf } from './tiles.ts';
import type { Work } from './work.ts';

export interface FigmaHost extends Host {
  /**
   * Places every variant, composited over the edited picture, in a row next to the source. Returns a note or
   * ''.
   */
  placeSideBySide(variants: readonly Placement[], edit: Picture): Promise<string>;
  exportReferences(ids: readonly string[]): Promise<readonly Reference[]>;
}

export interface HostParts {
  readonly sandbox: Sandbox;
  readonly work: Work;
  /** The panel's current references. */
  readonly references: () => readonly Reference[];
}

/** The panel's host in Figma, which reaches the document through the sandbox. */
export function createFigmaHost({ sandbox, work, references }: HostParts): FigmaHost {
  const exportReferences = async (ids: readonly string[]): Promise<readonly Reference[]> =>
    Promise.all((await sandbox.call('export', ids)).map(toReference));

  return {
    // Names, not IP addresses: Figma's manifest rejects raw addresses.
    companions: companionPorts.map((port) => `http://localhost:${port}`),
    capabilities: { results: 'offered', previews: 'picture', keepsDocument: true },
    explainSilence,
    exportReferences,

    storage: {
      // Failing storage, full for example, must not stop an edit: the panel just remembers less.
      get: (key) => sandbox.call('readStored', key).catch(() => undefined),
      set: (key, value) => sandbox.call('store', { key, value }).catch(() => undefined),
    },

    async capture(again = false) {
      const choice = work.choice(again);
      const { source, edit, grid, masks } = await captureDecoded(sandbox, choice);
      const painted = choice.kind === 'node' ? work.painted(source, edit) : undefined;
      const mask = masks.length > 0 ? await rasterMask(masks, source.bounds, edit, grid) : painted;
      if (mask && !maskBounds({ width: edit.width, height: edit.height, data: mask })) {
        throw new CodedError('mask-empty', {
          detail: 'The mask does not lie over the layer that is edited.',
          remedy: 'Move the mask over the layer, or choose another mask.',
        });
      }
      const target: NodeTarget = {
        source,
        width: edit.width,
        height: edit.height,
        grid,
        hasMask: mask !== undefined,
        ...(choice.kind === 'node' && choice.maskId !== undefined ? { hideId: choice.maskId } : {}),
        references: references().map(({ id }) => id),
      };
      const text = JSON.stringify(target);
      work.taken.value = { target: text, edit };
      return { edit, ...(mask ? { mask } : {}), origin: { left: 0, top: 0 }, target: text };
    },

    async place(variants, chosen, { report }) {
      const placement = variants[chosen]!;
      const target = readTarget(placement);
      const { source, grid, hasMask, hideId } = target;
      const layer = withEightBits(placement.layer);
      const { left, top } = placement.bounds;
      const isWhole =
        !hasMask && left === 0 && top === 0 && layer.width === target.width && layer.height === target.height;
      const placed = await tilesOf(layer, placement.bounds, grid, hasMask ? source : undefined);
      const said = await sandbox.call('place', {
        name: placement.name,
        source,
        shape: isWhole ? 'node' : 'region',
        ...placed,
        recipe: recipeOf(placement),
        ...(hideId === undefined ? {} : { hideId }),
      });
      if (hideId !== undefined || work.mask.value?.kind === 'brush') work.clearMask();
      report([said, tilesNote(layer, placed.tiles.length)].filter(Boolean).join(' '));
    },

    async placeSideBySide(variants, edit) {
      const target = readTarget(variants[0]!);
      const pictures = [];
      for (const placement of variants) {
        const layer = withEightBits(placement.layer);
        const whole = composite({ ...edit, channels: 4 }, { ...layer, channels: 4 }, placement.bounds);
        const picture = { width: edit.width, height: edit.height, data: whole.data as Picture['data'] };
        pictures.push({
          name: `${placement.name} · seed ${placement.recipe.seed}`,
          tiles: (await tilesOf(picture, { left: 0, top: 0 }, target.grid)).tiles,
          recipe: recipeOf(placement, target.hasMask),
        });
      }
      return sandbox.call('placeSideBySide', { source: target.source, pictures });
    },

    async pickReferences() {
      const files = await pickFiles(true);
      return Promise.all(files.map((file) => decodeReference(file, file.name)));
    },

    async takeReferences() {
      const { count } = work.selection.value;
      if (count > maxReferences + 2) {
        throw new CodedError('too-large', {
          detail: `${count} layers are selected, and there can be ${maxReferences} references.`,
          remedy: 'Select the few layers that the edit should look at, then press the button again.',
        });
      }
      const usable = work.others.value.filter(({ id }) => id !== work.target.value?.id);
      const ids = (usable.length > 0 ? usable : work.others.value).map(({ id }) => id);
      if (ids.length === 0) {
        throw new CodedError('request-invalid', {
          detail: 'Nothing is selected that could be a reference.',
          remedy: 'Select one or more layers in the document, then press the button again.',
        });
      }
      return exportReferences(ids);
    },

    async readRequest() {
      const [selected] = work.selection.value.nodes;
      const recipe = parseRecipe(selected?.recipe ?? '');
      return recipe && parseEditRequest(JSON.stringify(recipe.request));
    },
  };
}

async function toReference({ id, name, png }: ExportedNode): Promise<Reference> {
  const blob = new Blob([new Uint8Array(png)], { type: 'image/png' });
  return { ...(await decodeReference(blob, name)), id };
}

/** The recipe as text, with the numbers that were used in place of the unset ones. */
function recipeOf(placement: Placement, lostMask = false): string {
  const { request, recipe } = placement;
  const { source, references } = readTarget(placement);
  const { seed, steps, guidance } = recipe;
  const { variants: _, ...asked } = request;
  const kept: Recipe = {
    version: 1,
    sourceId: source.id,
    request: { ...asked, seed, steps, guidance },
    references: references.filter(isNodeId),
    files: references.filter((id) => !isNodeId(id)).length,
    lostMask,
  };
  return JSON.stringify(kept);
}

/** `1:23`, or `I1:23;4:5` inside an instance. A reference from a file has a UUID instead. */
function isNodeId(id: string): boolean {
  return id.includes(':');
}

function tilesNote({ width, height }: Picture, count: number): string {
  return count > 1
    ? `Figma takes ${maxImageSide} pixels a side: the result of ${width} × ${height} is a group of ${count} tiles.`
    : '';
}
