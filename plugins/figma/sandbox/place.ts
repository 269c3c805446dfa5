import { identity, invert, isTranslation, type Matrix, multiply, scaling, translation } from '../matrix.ts';
import type { Placing, SideBySide, Tile } from '../protocol.ts';
import { isPictureNode, keepRecipe, outermostInstance, type Parent, type PictureNode } from './nodes.ts';

/** Between pictures that lie side by side, in page units. */
const gap = 40;

/** Where a result goes, and how far its source has moved since it was captured. */
interface Spot {
  readonly parent: Parent;
  readonly index: number;
  /** From where the source was to where it is. */
  readonly move: Matrix;
  readonly note: string;
}

/** Puts a result over its source, as one step of undo. Answers what the person should know, or nothing. */
export async function place({ name, source, shape, tiles, recipe, hideId }: Placing): Promise<string> {
  const spot = await findSpot(source.id, source.transform);
  const used = hideId === undefined ? null : await figma.getNodeByIdAsync(hideId);
  return oneStep(() => {
    const result =
      shape === 'node'
        ? placeOver(tiles[0]!, source, spot)
        : placeTiles(tiles, translation(source.bounds.left, source.bounds.top), spot);
    result.name = name;
    const notes = [spot.note];
    if (!keepRecipe(result, recipe)) notes.push('The recipe is too long to be kept with the result.');
    // A mask of the document's own stays: without it, what it covers would come to light.
    const isShape = used && 'visible' in used && !used.removed && !('isMask' in used && used.isMask);
    if (isShape) used.visible = false;
    return notes.filter((note) => note !== '').join(' ');
  });
}

/** Puts whole pictures in a row, right of everything that the source lies in, as one step of undo. */
export async function placeSideBySide({ source, pictures }: SideBySide): Promise<string> {
  const node = await figma.getNodeByIdAsync(source.id);
  const page = pageOf(node) ?? figma.currentPage;
  let outermost = isPictureNode(node) ? node : undefined;
  for (let at: BaseNode | null = node; at && at.type !== 'PAGE'; at = at.parent) {
    if (isPictureNode(at)) outermost = at;
  }
  const around = outermost?.absoluteBoundingBox;
  const right = around ? around.x + around.width : source.bounds.left + source.bounds.width;
  return oneStep(() => {
    pictures.forEach(({ name, tiles, recipe }, i) => {
      const left = right + gap + i * (source.bounds.width + gap);
      const spot = { parent: page, index: page.children.length, move: identity, note: '' };
      const result = placeTiles(tiles, translation(left, source.bounds.top), spot);
      result.name = name;
      keepRecipe(result, recipe);
    });
    return '';
  });
}

/** Without a commit before and after, one undo would take back whatever else was done since the plugin was opened. */
function oneStep<T>(work: () => T): T {
  figma.commitUndo();
  const known = new Set(figma.currentPage.children.map(({ id }) => id));
  try {
    return work();
  } catch (error) {
    // Nothing half done stays: what is new and got no place yet lies on the page.
    for (const child of [...figma.currentPage.children]) if (!known.has(child.id)) child.remove();
    throw error;
  } finally {
    figma.commitUndo();
  }
}

/**
 * Right above the source, in its own parent; above everything that takes no children: instances, boolean operations,
 * component sets. If the source is gone the result is not lost: it goes to where the source was, on the page.
 */
async function findSpot(id: string, captured: Matrix): Promise<Spot> {
  const node = await figma.getNodeByIdAsync(id);
  if (!isPictureNode(node) || node.removed) {
    const page = figma.currentPage;
    const note = 'The layer that was edited is gone: the result lies on the page, where the layer was.';
    return { parent: page, index: page.children.length, move: identity, note };
  }
  let below: BaseNode = outermostInstance(node) ?? node;
  for (let at: BaseNode | null = below.parent; at && at.type !== 'PAGE'; at = at.parent) {
    if (at.type === 'BOOLEAN_OPERATION' || at.type === 'COMPONENT_SET') below = at;
  }
  const parent = below.parent as Parent;
  const index = parent.children.findIndex((child) => child.id === below.id) + 1;
  return { parent, index, move: multiply(node.absoluteTransform, invert(captured)), note: '' };
}

/** One rectangle with the source's own outline; its image stands upright on the page, as it was exported. */
function placeOver(tile: Tile, source: Placing['source'], spot: Spot): SceneNode {
  const rectangle = rectangleOf(tile.picture, source.width, source.height);
  if (!isTranslation(source.transform)) {
    // From the rectangle's unit square to its own units, to the page, to the exported image's unit square.
    const { left, top, width, height } = source.bounds;
    const imageTransform = [
      scaling(1 / width, 1 / height),
      translation(-left, -top),
      source.transform,
      scaling(source.width, source.height),
    ].reduce(multiply);
    const [fill] = rectangle.fills as readonly ImagePaint[];
    rectangle.fills = [{ ...fill!, scaleMode: 'CROP', imageTransform: imageTransform as Transform }];
  }
  spot.parent.insertChild(spot.index, rectangle);
  settle(rectangle, spot.parent, [[rectangle, multiply(spot.move, source.transform)]]);
  return rectangle;
}

/** Upright rectangles; several of them, or one with a mask, are a group. */
function placeTiles(tiles: readonly Tile[], origin: Matrix, spot: Spot): SceneNode {
  const places: [node: PictureNode, absolute: Matrix][] = [];
  const groups: SceneNode[] = [];
  const group = (nodes: readonly SceneNode[], parent: Parent, index: number): GroupNode => {
    const made = figma.group(nodes, parent, index);
    // A mask covers what is above it in its group: the order is ours, not that of the grouping.
    nodes.forEach((node, i) => {
      made.insertChild(i, node);
    });
    return made;
  };
  for (const { picture, mask, bounds } of tiles) {
    const absolute = [spot.move, origin, translation(bounds.left, bounds.top)].reduce(multiply);
    const shown = rectangleOf(picture, bounds.width, bounds.height);
    shown.name = 'Picture';
    places.push([shown, absolute]);
    if (!mask) {
      groups.push(shown);
      continue;
    }
    const covering = rectangleOf(mask, bounds.width, bounds.height);
    covering.name = 'Mask';
    covering.isMask = true;
    places.push([covering, absolute]);
    groups.push(group([covering, shown], figma.currentPage, figma.currentPage.children.length));
  }
  const [only] = groups;
  let result: SceneNode;
  if (groups.length === 1) {
    result = only!;
    spot.parent.insertChild(spot.index, result);
  } else {
    result = group(groups, spot.parent, spot.index);
  }
  settle(result, spot.parent, places);
  return result;
}

function rectangleOf(image: Uint8Array, width: number, height: number): RectangleNode {
  const rectangle = figma.createRectangle();
  rectangle.resize(width, height);
  const { hash: imageHash } = figma.createImage(image);
  // Stretched over the whole rectangle: FILL would cut an image whose sides were rounded to whole pixels.
  rectangle.fills = [{ type: 'IMAGE', imageHash, scaleMode: 'CROP', imageTransform: identity as Transform }];
  return rectangle;
}

/** Gives nodes their places on the page, once they are where they stay: before, a layout would move them. */
function settle(
  result: SceneNode,
  parent: Parent,
  places: readonly (readonly [node: PictureNode, absolute: Matrix])[],
): void {
  const hasLayout = 'layoutMode' in parent && parent.layoutMode !== 'NONE';
  if (hasLayout && 'layoutPositioning' in result) result.layoutPositioning = 'ABSOLUTE';
  const toParent = invert(containerTransform(parent));
  for (const [node, absolute] of places) node.relativeTransform = multiply(toParent, absolute) as Transform;
}

/** A group has no coordinates of its own: its children count from the nearest frame or page. */
function containerTransform(parent: BaseNode): Matrix {
  let at: BaseNode | null = parent;
  while (at && (at.type === 'GROUP' || at.type === 'BOOLEAN_OPERATION')) at = at.parent;
  return at && 'absoluteTransform' in at ? at.absoluteTransform : identity;
}

function pageOf(node: BaseNode | null): PageNode | undefined {
  for (let at = node; at; at = at.parent) if (at.type === 'PAGE') return at;
  return undefined;
}
