import type { Bounds, Size } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import { wholePixels } from '../grid.ts';
import { identity, isTranslation } from '../matrix.ts';
import type { NodePicture } from '../protocol.ts';
import { boundsOf, type PictureNode } from './nodes.ts';

/** The companion works on crop windows of it; beyond this size the panel would run out of memory. */
const maxSide = 8192;
/** Designers export drawings at up to three times their size. */
const maxScale = 3;
/**
 * The REST API exports at up to this scale. The plugin API documents no limit: a refusal is retried at this
 * one.
 */
const documentedScale = 4;
/** How far a fill's pixels may be from square: rounded sides are fine, a stretched picture isn't. */
const squareTolerance = 0.01;
/** How far short of its node's edge a fill may end, in image pixels. */
const edgeTolerance = 0.5;

/** Where the pixels of a node's picture come from. */
export type PicturePlan =
  | {
      readonly kind: 'fill';
      readonly image: Image;
      readonly size: Size;
      /** The part of the image the node shows, in fractional image pixels. */
      readonly shown: Bounds;
      readonly pixelsPerUnit: number;
    }
  | { readonly kind: 'export'; readonly pixelsPerUnit: number };

/**
 * Uses the file of the one image that fills the node, which usually has more pixels than the node has units;
 * otherwise an export.
 * @param exportOnly for a file that the panel couldn't decode the way Figma shows it
 */
export async function planPicture(node: PictureNode, exportOnly: boolean): Promise<PicturePlan> {
  const byExport = { kind: 'export', pixelsPerUnit: exportScale(node, maxScale, maxSide) } as const;
  const paint = exportOnly ? undefined : onlyImageFill(node);
  const image = paint?.imageHash ? figma.getImageByHash(paint.imageHash) : null;
  if (!paint || !image) return byExport;
  // Figma may still have to download the image, which fails offline.
  const size = await image.getSizeAsync().catch(() => undefined);
  const bounds = boundsOf(node);
  const shown = size && shownPart(paint, size, bounds);
  if (!shown || Math.max(shown.width, shown.height) > maxSide) return byExport;
  return { kind: 'fill', image, size, shown, pixelsPerUnit: shown.width / bounds.width };
}

/** The pixel size the picture will have. */
export function sizeOf(plan: PicturePlan, node: PictureNode): Size {
  if (plan.kind === 'fill') {
    const { width, height } = wholePixels(plan.shown, plan.size);
    return { width, height };
  }
  const { width, height } = boundsOf(node);
  const pixels = (length: number) => Math.max(1, Math.round(length * plan.pixelsPerUnit));
  return { width: pixels(width), height: pixels(height) };
}

export async function takePicture(plan: PicturePlan, node: PictureNode): Promise<NodePicture> {
  const file = plan.kind === 'fill' ? await plan.image.getBytesAsync().catch(() => undefined) : undefined;
  if (file && plan.kind === 'fill') return { file, fill: { size: plan.size, shown: plan.shown } };
  return { file: await exportPNG(node, exportScale(node, maxScale, maxSide)) };
}

/** The scale to export a node at: the requested one, capped by the longest side. */
export function exportScale(node: PictureNode, scale: number, longestSide: number): number {
  const { width, height } = boundsOf(node);
  return Math.min(scale, longestSide / Math.max(width, height));
}

/**
 * Exports a PNG, sRGB, covering all of the node's bounds.
 * @param scale pixels per page unit. Figma may answer with fewer, so the file's own size is what counts.
 * @throws CodedError `image-invalid`
 */
export async function exportPNG(node: PictureNode, scale: number): Promise<Uint8Array> {
  const scales = [scale, documentedScale, 1].filter((other, i) => i === 0 || other < scale);
  let refusal: unknown;
  for (const value of scales) {
    try {
      return await node.exportAsync({
        format: 'PNG',
        useAbsoluteBounds: true,
        colorProfile: 'SRGB',
        ...(value === 1 ? {} : { constraint: { type: 'SCALE', value } }),
      });
    } catch (thrown) {
      refusal = thrown;
    }
  }
  throw new CodedError('image-invalid', {
    detail: `Figma could not export "${node.name}": ${refusal instanceof Error ? refusal.message : String(refusal)}.`,
    remedy: 'Check that the layer shows something, then try again.',
    cause: refusal,
  });
}

const plainBlending: readonly BlendMode[] = ['NORMAL', 'PASS_THROUGH'];

/**
 * The image fill of a node that shows only that image, unchanged. Rounded corners and shadows are fine: they
 * belong to the outline.
 */
function onlyImageFill(node: PictureNode): ImagePaint | undefined {
  if (node.type !== 'RECTANGLE' && node.type !== 'FRAME' && node.type !== 'COMPONENT') return undefined;
  if ('children' in node && node.children.length > 0) return undefined;
  if (node.opacity !== 1 || !plainBlending.includes(node.blendMode) || node.isMask) return undefined;
  if (node.strokes.some(isVisible)) return undefined;
  if (node.effects.some((effect) => effect.visible && effect.type !== 'DROP_SHADOW')) return undefined;
  if (!isTranslation(node.absoluteTransform)) return undefined;
  const [paint, second] = node.fills === figma.mixed ? [] : node.fills.filter(isVisible);
  if (second || paint?.type !== 'IMAGE') return undefined;
  const { opacity = 1, blendMode = 'NORMAL', rotation = 0, filters = {} } = paint;
  const isPlain = opacity === 1 && plainBlending.includes(blendMode) && rotation === 0;
  return isPlain && Object.keys(filters).every((name) => !filters[name as keyof ImageFilters])
    ? paint
    : undefined;
}

function isVisible({ visible = true }: Paint): boolean {
  return visible;
}

/**
 * The part of an image that a node shows, in image pixels; undefined if the image doesn't fill the node, or
 * is rotated, mirrored, tiled or stretched in it. `imageTransform` maps the node's unit square to the
 * image's, as GLips/Figma-Context-MCP crops (src/utils/image-processing.ts); its inverse is where the image
 * lies, as in figma-plugin-helper-functions/figma-plugin-helpers (src/helpers/extractImageCropParams.ts).
 */
function shownPart(paint: ImagePaint, image: Size, node: Size): Bounds | undefined {
  let shown: Bounds;
  if (paint.scaleMode === 'CROP') {
    const [[x, skewX, left], [skewY, y, top]] = paint.imageTransform ?? identity;
    if (Math.abs(skewX) > 1e-6 || Math.abs(skewY) > 1e-6) return undefined;
    shown = {
      left: left * image.width,
      top: top * image.height,
      width: x * image.width,
      height: y * image.height,
    };
  } else if (paint.scaleMode === 'FILL' || paint.scaleMode === 'FIT') {
    const [x, y] = [node.width / image.width, node.height / image.height];
    const scale = paint.scaleMode === 'FILL' ? Math.max(x, y) : Math.min(x, y);
    const [width, height] = [node.width / scale, node.height / scale];
    shown = { left: (image.width - width) / 2, top: (image.height - height) / 2, width, height };
  } else {
    return undefined;
  }
  const { left, top, width, height } = shown;
  const isInside =
    width > 0 &&
    height > 0 &&
    Math.min(left, top, image.width - left - width, image.height - top - height) >= -edgeTolerance;
  const isSquare = Math.abs((width * node.height) / (height * node.width) - 1) <= squareTolerance;
  return isInside && isSquare ? shown : undefined;
}
