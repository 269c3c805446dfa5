import type { Size } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { CapturedNode, CaptureInput, ExportedNode, Source } from '../protocol.ts';
import { parseRecipe } from '../recipe.ts';
import {
  boundsOf,
  findPicture,
  isPictureNode,
  obstacleOf,
  outermostInstance,
  type PictureNode,
  recipeKey,
} from './nodes.ts';
import { exportPNG, exportScale, type PicturePlan, planPicture, sizeOf, takePicture } from './picture.ts';

const maxReferenceSide = 2048;
const maxReferenceScale = 3;
const maxMaskSide = 8192;

/** Captures the edited node, and the mask over it at the same resolution, each over its whole bounds. */
export async function capture({ choice, exportOnly }: CaptureInput): Promise<CapturedNode> {
  if (choice.kind === 'again') return captureAgain(choice.resultId, exportOnly);
  const node = await findPicture(choice.id, 'layer to edit');
  const plan = await planPicture(node, exportOnly);
  if (choice.maskId === undefined) return { ...(await takeSource(node, plan)), masks: [] };
  const mask = await findPicture(choice.maskId, 'mask');
  const masks = [await exportNode(mask, plan.pixelsPerUnit, maxMaskSide)];
  // A shape drawn inside the edited frame is a mask, not part of the picture.
  const covers = isInside(mask, node) && !outermostInstance(mask);
  if (!covers) return { ...(await takeSource(node, plan)), masks };
  mask.visible = false;
  try {
    return { ...(await takeSource(node, plan)), masks };
  } finally {
    mask.visible = true;
  }
}

export async function exportNodes(ids: readonly string[]): Promise<readonly ExportedNode[]> {
  const exported: ExportedNode[] = [];
  for (const id of ids) {
    exported.push(await exportNode(await findPicture(id, 'reference'), maxReferenceScale, maxReferenceSide));
  }
  return exported;
}

/** The pixel size that a capture of the node would have. */
export async function measure(id: string): Promise<Size | undefined> {
  const node = await figma.getNodeByIdAsync(id);
  if (!isPictureNode(node) || node.removed || obstacleOf(node) !== '') return undefined;
  return sizeOf(await planPicture(node, false), node);
}

/** A result's source, and the mask inside the result itself. */
async function captureAgain(resultId: string, exportOnly: boolean): Promise<CapturedNode> {
  const result = await findPicture(resultId, 'result');
  const recipe = parseRecipe(result.getPluginData(recipeKey));
  if (!recipe) {
    throw new CodedError('request-invalid', {
      detail: `"${result.name}" was not made by this plugin, or its recipe cannot be read.`,
      remedy: 'Write an instruction and run it as usual.',
    });
  }
  if (recipe.lostMask) {
    throw new CodedError('request-invalid', {
      detail: `"${result.name}" was made inside a mask, which this whole picture does not have.`,
      remedy: 'Select the layer that it was made of, choose or paint the mask again, then press Run.',
    });
  }
  const node = await findPicture(recipe.sourceId, 'layer that this result was made of');
  const maskNodes = 'findAll' in result ? result.findAll((child) => 'isMask' in child && child.isMask) : [];
  const masks: ExportedNode[] = [];
  for (const mask of maskNodes) {
    const fills = 'fills' in mask && mask.fills !== figma.mixed ? mask.fills : [];
    const [fill] = fills;
    const image = fill?.type === 'IMAGE' && fill.imageHash ? figma.getImageByHash(fill.imageHash) : null;
    if (!image) continue;
    const png = await image.getBytesAsync();
    masks.push({ id: mask.id, name: mask.name, png, bounds: boundsOf(mask as PictureNode) });
  }
  return { ...(await takeSource(node, await planPicture(node, exportOnly))), masks };
}

async function takeSource(node: PictureNode, plan: PicturePlan): Promise<Omit<CapturedNode, 'masks'>> {
  const { id, absoluteTransform: transform, width, height } = node;
  const radii = radiiOf(node);
  const source = { id, bounds: boundsOf(node), transform, width, height, ...(radii ? { radii } : {}) };
  return { source, picture: await takePicture(plan, node) };
}

async function exportNode(node: PictureNode, scale: number, longestSide: number): Promise<ExportedNode> {
  const { id, name } = node;
  const png = await exportPNG(node, exportScale(node, scale, longestSide));
  return { id, name, png, bounds: boundsOf(node) };
}

function radiiOf(node: PictureNode): Source['radii'] {
  if (!('topLeftRadius' in node)) return undefined;
  const radii = [
    node.topLeftRadius,
    node.topRightRadius,
    node.bottomRightRadius,
    node.bottomLeftRadius,
  ] as const;
  return radii.some((radius) => radius > 0) ? radii : undefined;
}

function isInside(node: BaseNode, outer: BaseNode): boolean {
  for (let at = node.parent; at; at = at.parent) if (at.id === outer.id) return true;
  return false;
}
