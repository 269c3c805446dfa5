import { CodedError } from '../../../shared/errors.ts';
import type { CaptureChoice, CapturedNode, ExportedNode } from '../protocol.ts';
import { parseRecipe } from '../recipe.ts';
import { boundsOf, findPicture, outermostInstance, type PictureNode, recipeKey } from './nodes.ts';

/** The companion works on windows of it; beyond this the panel would run out of memory before. */
const maxSide = 8192;
const maxReferenceSide = 2048;

/** Exports what is to be edited and the mask over it, each of its whole bounds, upright on the page. */
export async function capture(choice: CaptureChoice): Promise<CapturedNode> {
  if (choice.kind === 'again') return captureAgain(choice.resultId);
  const node = await findPicture(choice.id, 'layer to edit');
  if (choice.maskId === undefined) return { ...(await exportSource(node)), masks: [] };
  const mask = await findPicture(choice.maskId, 'mask');
  const masks = [await exportNode(mask, maxSide)];
  // A shape that was drawn inside the frame that is edited is a mask, not a part of the picture.
  const covers = isInside(mask, node) && !outermostInstance(mask);
  if (!covers) return { ...(await exportSource(node)), masks };
  mask.visible = false;
  try {
    return { ...(await exportSource(node)), masks };
  } finally {
    mask.visible = true;
  }
}

export async function exportNodes(ids: readonly string[]): Promise<readonly ExportedNode[]> {
  const exported: ExportedNode[] = [];
  for (const id of ids) exported.push(await exportNode(await findPicture(id, 'reference'), maxReferenceSide));
  return exported;
}

/** The source of a result and the mask that lies in the result itself. */
async function captureAgain(resultId: string): Promise<CapturedNode> {
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
  return { ...(await exportSource(node)), masks };
}

async function exportSource(node: PictureNode): Promise<Omit<CapturedNode, 'masks'>> {
  const { id, png, bounds } = await exportNode(node, maxSide);
  const { absoluteTransform: transform, width, height } = node;
  return { source: { id, bounds, transform, width, height }, png };
}

async function exportNode(node: PictureNode, longestSide: number): Promise<ExportedNode> {
  const bounds = boundsOf(node);
  const scale = Math.min(1, longestSide / Math.max(bounds.width, bounds.height));
  try {
    const png = await node.exportAsync({
      format: 'PNG',
      useAbsoluteBounds: true,
      colorProfile: 'SRGB',
      ...(scale < 1 ? { constraint: { type: 'SCALE', value: scale } } : {}),
    });
    return { id: node.id, name: node.name, png, bounds };
  } catch (cause) {
    throw new CodedError('image-invalid', {
      detail: `Figma could not export "${node.name}": ${cause instanceof Error ? cause.message : String(cause)}.`,
      remedy: 'Check that the layer shows something, then try again.',
      cause,
    });
  }
}

function isInside(node: BaseNode, outer: BaseNode): boolean {
  for (let at = node.parent; at; at = at.parent) if (at.id === outer.id) return true;
  return false;
}
