import type { Bounds, Size } from '../../../shared/bounds.ts';
import { identity, invert, isTranslation, type Matrix, multiply, scaling, translation } from '../matrix.ts';
import type { Placing, SideBySide, Source, Tile } from '../protocol.ts';
import { isPictureNode, keepRecipe, outermostInstance, type Parent } from './nodes.ts';

/** The gap between pictures side by side, in page units. */
const gap = 40;

/** Where a result goes, and how far its source has moved since it was captured. */
interface Spot {
  readonly parent: Parent;
  readonly index: number;
  /** From the source's old position to its current one. */
  readonly move: Matrix;
  readonly note: string;
}

/** Places a result over its source as one undo step. Returns a note for the person, or an empty string. */
export async function place({ name, source, shape, tiles, mask, recipe, hideId }: Placing): Promise<string> {
  const spot = await findSpot(source.id, source.transform);
  const used = hideId === undefined ? null : await figma.getNodeByIdAsync(hideId);
  return oneStep(() => {
    const [only, second] = tiles;
    const isOne = shape === 'node' && only && !second;
    const hasOutline = shape === 'node' && (source.radii || !isTranslation(source.transform));
    const result = isOne
      ? placeOver(only, source, spot)
      : placeTiles({ tiles, mask, source, cutTo: hasOutline ? source : undefined }, spot);
    result.name = name;
    const notes = [spot.note];
    if (!keepRecipe(result, recipe)) notes.push('The recipe is too long to be kept with the result.');
    // A mask of the document itself stays visible: hiding it would reveal what it hides.
    const isShape = used && 'visible' in used && !used.removed && !('isMask' in used && used.isMask);
    if (isShape) used.visible = false;
    return notes.filter((note) => note !== '').join(' ');
  });
}

/** Places whole pictures in a row to the right of everything that contains the source, as one undo step. */
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
      const result = placeTiles({ tiles, source: { ...source, bounds: { ...source.bounds, left } } }, spot);
      result.name = name;
      keepRecipe(result, recipe);
    });
    return '';
  });
}

/**
 * Without a commit before and after, one undo would also revert everything else done since the plugin opened.
 */
function oneStep<T>(work: () => T): T {
  figma.commitUndo();
  const known = new Set(figma.currentPage.children.map(({ id }) => id));
  try {
    return work();
  } catch (error) {
    // Leave nothing half done: new nodes without a parent of their own are still on the page.
    for (const child of [...figma.currentPage.children]) if (!known.has(child.id)) child.remove();
    throw error;
  } finally {
    figma.commitUndo();
  }
}

/**
 * Right above the source, in the same parent; above any ancestor that can't take children: instances, boolean
 * operations, component sets. If the source is gone, the result goes on the page, where the source was.
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

/** One rectangle with the source's own outline; its image stays upright on the page, as exported. */
function placeOver(tile: Tile, source: Source, spot: Spot): SceneNode {
  const rectangle = outlineOf(source);
  // Maps the rectangle's unit square to its own units, to the page, to the image's unit square.
  const { left, top } = source.bounds;
  const imageTransform = [
    toUnitSquare(tile.bounds),
    translation(-left, -top),
    source.transform,
    scaling(source.width, source.height),
  ].reduce(multiply);
  rectangle.fills = [imagePaint(tile.picture, imageTransform)];
  spot.parent.insertChild(spot.index, rectangle);
  settle(rectangle, spot.parent, [[rectangle, multiply(spot.move, source.transform)]]);
  return rectangle;
}

interface TiledPicture {
  readonly tiles: readonly Tile[];
  readonly mask?: Tile | undefined;
  readonly source: Source;
  /** The node whose outline clips the tiles, as a mask. */
  readonly cutTo?: Source | undefined;
}

/** Upright rectangles; several, or one with a mask, form a group. */
function placeTiles({ tiles, mask, source, cutTo }: TiledPicture, spot: Spot): SceneNode {
  const places: [node: RectangleNode, absolute: Matrix][] = [];
  const add = (name: string, tile: Tile): RectangleNode => {
    const { rectangle, left, top } = rectangleOf(tile, source.bounds);
    rectangle.name = name;
    const { bounds } = source;
    places.push([rectangle, multiply(spot.move, translation(bounds.left + left, bounds.top + top))]);
    return rectangle;
  };
  if (mask) {
    add('Mask', mask).isMask = true;
  } else if (cutTo) {
    const outline = outlineOf(cutTo);
    outline.name = 'Outline';
    outline.fills = [{ type: 'SOLID', color: { r: 1, g: 1, b: 1 } }];
    outline.isMask = true;
    places.push([outline, multiply(spot.move, cutTo.transform)]);
  }
  for (const tile of tiles) add('Picture', tile);
  const nodes = places.map(([node]) => node);
  const [only, second] = nodes;
  let result: SceneNode;
  if (only && !second) {
    result = only;
    spot.parent.insertChild(spot.index, result);
  } else {
    const group = figma.group(nodes, spot.parent, spot.index);
    // A mask applies to what is above it in its group: set the order here, don't rely on the grouping.
    nodes.forEach((node, i) => {
      group.insertChild(i, node);
    });
    result = group;
  }
  settle(result, spot.parent, places);
  return result;
}

/** The part of a tile inside the source's bounds. */
function rectangleOf(
  { picture, bounds }: Tile,
  within: Size,
): { rectangle: RectangleNode; left: number; top: number } {
  const left = Math.max(0, bounds.left);
  const top = Math.max(0, bounds.top);
  const width = Math.min(within.width, bounds.left + bounds.width) - left;
  const height = Math.min(within.height, bounds.top + bounds.height) - top;
  const rectangle = figma.createRectangle();
  rectangle.resize(width, height);
  const imageTransform = [toUnitSquare(bounds), translation(left, top), scaling(width, height)].reduce(
    multiply,
  );
  rectangle.fills = [imagePaint(picture, imageTransform)];
  return { rectangle, left, top };
}

function outlineOf({ width, height, radii }: Source): RectangleNode {
  const rectangle = figma.createRectangle();
  rectangle.resize(width, height);
  if (radii) {
    const [topLeftRadius, topRightRadius, bottomRightRadius, bottomLeftRadius] = radii;
    Object.assign(rectangle, { topLeftRadius, topRightRadius, bottomRightRadius, bottomLeftRadius });
  }
  return rectangle;
}

function toUnitSquare({ left, top, width, height }: Bounds): Matrix {
  return multiply(scaling(1 / width, 1 / height), translation(-left, -top));
}

/**
 * @param imageTransform from the node's unit square to the image's: FILL would crop where sides were rounded
 */
function imagePaint(image: Uint8Array, imageTransform: Matrix): ImagePaint {
  const { hash: imageHash } = figma.createImage(image);
  return { type: 'IMAGE', imageHash, scaleMode: 'CROP', imageTransform: imageTransform as Transform };
}

/**
 * Positions nodes on the page once they are in their final parent: before that, auto layout would move them.
 */
function settle(
  result: SceneNode,
  parent: Parent,
  places: readonly (readonly [node: RectangleNode, absolute: Matrix])[],
): void {
  const hasLayout = 'layoutMode' in parent && parent.layoutMode !== 'NONE';
  if (hasLayout && 'layoutPositioning' in result) result.layoutPositioning = 'ABSOLUTE';
  const toParent = invert(containerTransform(parent));
  for (const [node, absolute] of places) node.relativeTransform = multiply(toParent, absolute) as Transform;
}

/** A group has no coordinate system: its children's coordinates are relative to the nearest frame or page. */
function containerTransform(parent: BaseNode): Matrix {
  let at: BaseNode | null = parent;
  while (at && (at.type === 'GROUP' || at.type === 'BOOLEAN_OPERATION')) at = at.parent;
  return at && 'absoluteTransform' in at ? at.absoluteTransform : identity;
}

function pageOf(node: BaseNode | null): PageNode | undefined {
  for (let at = node; at; at = at.parent) if (at.type === 'PAGE') return at;
  return undefined;
}
