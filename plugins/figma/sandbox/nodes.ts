import type { Bounds } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { Selection } from '../protocol.ts';

/** A node that can be exported and has a position. */
export type PictureNode = SceneNode & LayoutMixin;
export type Parent = BaseNode & ChildrenMixin;

export const recipeKey = 'recipe';

/** Figma's size limit for a plugin data entry, less room for the key. */
const longestRecipe = 90_000;

export function isPictureNode(node: BaseNode | null): node is PictureNode {
  return node !== null && 'exportAsync' in node && 'absoluteTransform' in node && 'resize' in node;
}

/** Why a node can't be captured; empty if it can. */
export function obstacleOf(node: BaseNode): string {
  if (!isPictureNode(node)) return 'This kind of layer has no picture of its own';
  // Figma returns null for a node that is hidden, inside something hidden, or paints nothing.
  if (!node.absoluteBoundingBox || !node.absoluteRenderBounds) return 'This layer is hidden or empty';
  if (node.width < 1 || node.height < 1) return 'This layer is thinner than a pixel';
  return '';
}

/** More are never used: at most nine references, plus a mask and a layer to edit. */
const mostDescribed = 12;

/**
 * Reads only a few of the selected nodes, however many there are: each property read is a round trip to
 * Figma.
 */
export function describeSelection(selected: readonly SceneNode[]): Selection {
  const nodes = selected.slice(0, mostDescribed).map((node) => {
    const { width, height } = isPictureNode(node) ? node : { width: 0, height: 0 };
    // A recipe takes up to 90 kB, and only a single selected result can be run again.
    const recipe = selected.length === 1 ? node.getPluginData(recipeKey) : '';
    return { id: node.id, name: node.name, width, height, obstacle: obstacleOf(node), recipe };
  });
  return { count: selected.length, nodes };
}

/** @throws CodedError `request-invalid` if it is gone or has no picture */
export async function findPicture(id: string, role: string): Promise<PictureNode> {
  const node = await figma.getNodeByIdAsync(id);
  if (!node || node.removed) {
    throw new CodedError('request-invalid', {
      detail: `The ${role} is not in the document any more.`,
      remedy: 'Select another one, or undo what removed it.',
    });
  }
  const obstacle = obstacleOf(node);
  if (obstacle !== '') {
    throw new CodedError('request-invalid', {
      detail: `The ${role} "${node.name}" cannot be used: ${obstacle.toLowerCase()}.`,
      remedy: 'Show it, or select another one.',
    });
  }
  return node as PictureNode;
}

export function boundsOf(node: PictureNode): Bounds {
  const { x, y, width, height } = node.absoluteBoundingBox!;
  return { left: x, top: y, width, height };
}

/** The outermost instance a node is or belongs to, if any: nothing can be inserted into it. */
export function outermostInstance(node: BaseNode): InstanceNode | undefined {
  let found: InstanceNode | undefined;
  for (let at: BaseNode | null = node; at; at = at.parent) {
    if (at.type === 'INSTANCE') found = at;
  }
  return found;
}

/** Plugin data holds 100 kB per entry: a longer recipe is left out, which only costs "run again". */
export function keepRecipe(node: SceneNode, recipe: string): boolean {
  if (recipe.length > longestRecipe) return false;
  node.setPluginData(recipeKey, recipe);
  return true;
}
