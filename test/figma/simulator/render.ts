import sharp from 'sharp';
import {
  apply,
  type ImagePaint,
  type NodeState,
  type Paint,
  type Point,
  type Rect,
  type Scene,
  type Transform,
  unapply,
  unmoved,
} from './scene.ts';

/** RGBA, straight alpha, 0..1 each. */
type Colour = readonly [red: number, green: number, blue: number, alpha: number];

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Buffer;
}

const nothing: Colour = [0, 0, 0, 0];
const black: Colour = [0, 0, 0, 1];
const decoded = {
  asStored: new WeakMap<Uint8Array, Promise<Pixels>>(),
  upright: new WeakMap<Uint8Array, Promise<Pixels>>(),
};

export function decodeImage(bytes: Uint8Array, isUpright = false): Promise<Pixels> {
  const cache = isUpright ? decoded.upright : decoded.asStored;
  const known =
    cache.get(bytes) ??
    sharp(bytes, { autoOrient: isUpright })
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
      .then(({ data, info: { width, height } }) => ({ data, width, height }));
  cache.set(bytes, known);
  return known;
}

/**
 * Draws a rectangle of the page, `width` x `height` pixels, as RGBA; only one node's picture, or all of the
 * page.
 */
export async function render(
  scene: Scene,
  id: string,
  area: Rect,
  { width, height }: { width: number; height: number },
): Promise<Buffer> {
  const images = new Map<string, Pixels>();
  for (const [hash, bytes] of scene.images)
    images.set(hash, await decodeImage(bytes, scene.followsOrientation));
  const paint = painter(scene, images);
  const data = Buffer.alloc(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = {
        x: area.x + ((x + 0.5) * area.width) / width,
        y: area.y + ((y + 0.5) * area.height) / height,
      };
      paint(id, at).forEach((value, c) => {
        data[(y * width + x) * 4 + c] = Math.round(value * 255);
      });
    }
  }
  return data;
}

function painter(scene: Scene, images: ReadonlyMap<string, Pixels>) {
  // Nothing moves while it is drawn: every node's place is worked out once, not for each pixel.
  const places = new Map<string, { transform: Transform; width: number; height: number }>();
  const placeOf = (id: string) => {
    const place = places.get(id) ?? { transform: scene.absolute(id), ...scene.size(id) };
    places.set(id, place);
    return place;
  };
  return function paint(id: string, at: Point): Colour {
    const state = scene.get(id);
    if (!state.visible) return nothing;
    const { transform, width, height } = placeOf(id);
    const local = unapply(transform, at);
    const inside =
      state.type === 'PAGE' || (local.x >= 0 && local.y >= 0 && local.x < width && local.y < height);
    let colour: Colour = nothing;
    const isFilled = state.type === 'ELLIPSE' ? inEllipse : inRoundRectangle;
    if (inside && isFilled(local, width, height, state.radii)) {
      for (const fill of state.fills) {
        if (fill.visible === false) continue;
        const [red, green, blue, alpha] = fillAt(fill, local, { width, height }, images);
        colour = over([red, green, blue, alpha * (fill.opacity ?? 1)], colour);
      }
      const edge = Math.min(local.x, local.y, width - local.x, height - local.y);
      if (edge < state.strokeWeight / 2) colour = black;
      if (state.hasInnerShadow && edge < 4) colour = over([0, 0, 0, 0.5], colour);
    }
    if (inside || !state.clipsContent) {
      // A mask covers the siblings above it.
      let mask = 1;
      for (const child of state.children) {
        const drawn = paint(child, at);
        if (scene.get(child).isMask && scene.get(child).visible) mask = drawn[3];
        else colour = over([drawn[0], drawn[1], drawn[2], drawn[3] * mask], colour);
      }
    }
    return [colour[0], colour[1], colour[2], colour[3] * state.opacity];
  };
}

function inEllipse({ x, y }: Point, width: number, height: number): boolean {
  return ((x / width) * 2 - 1) ** 2 + ((y / height) * 2 - 1) ** 2 <= 1;
}

function inRoundRectangle(
  { x, y }: Point,
  width: number,
  height: number,
  radii: NodeState['radii'],
): boolean {
  const [isRight, isBelow] = [x > width / 2, y > height / 2];
  const radius = radii[isBelow ? (isRight ? 2 : 3) : isRight ? 1 : 0];
  const [across, down] = [isRight ? width - x : x, isBelow ? height - y : y];
  return across >= radius || down >= radius || Math.hypot(radius - across, radius - down) <= radius;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

function fillAt(fill: Paint, at: Point, box: Size, images: ReadonlyMap<string, Pixels>): Colour {
  if (fill.type === 'SOLID') return [fill.color.r, fill.color.g, fill.color.b, 1];
  const image = images.get(fill.imageHash ?? '');
  if (!image) return nothing;
  const found = pixelAt(fill, at, box, image);
  const [x, y] = [Math.floor(found.x), Math.floor(found.y)];
  if (x < 0 || y < 0 || x >= image.width || y >= image.height) return nothing;
  const from = (y * image.width + x) * 4;
  const [red = 0, green = 0, blue = 0, alpha = 0] = image.data.subarray(from, from + 4);
  // Of the filters, any: enough to be seen where it is left out.
  const light = 1 + (fill.filters?.exposure ?? 0);
  const lit = (value: number) => Math.min(1, (value / 255) * light);
  return [lit(red), lit(green), lit(blue), alpha / 255];
}

/** The image pixel visible at a point of a node. */
function pixelAt(fill: ImagePaint, at: Point, box: Size, image: Size): Point {
  if (fill.scaleMode === 'CROP') {
    const unit = apply(fill.imageTransform ?? unmoved, { x: at.x / box.width, y: at.y / box.height });
    return { x: unit.x * image.width, y: unit.y * image.height };
  }
  const quarters = ((((fill.rotation ?? 0) / 90) % 4) + 4) % 4;
  const turned = quarters % 2 === 1 ? { width: image.height, height: image.width } : image;
  const [x, y] = [box.width / turned.width, box.height / turned.height];
  const isTile = fill.scaleMode === 'TILE';
  const scale = isTile
    ? (fill.scalingFactor ?? 1)
    : fill.scaleMode === 'FILL'
      ? Math.max(x, y)
      : Math.min(x, y);
  const inside = isTile
    ? { x: (at.x / scale) % turned.width, y: (at.y / scale) % turned.height }
    : {
        x: (at.x - box.width / 2) / scale + turned.width / 2,
        y: (at.y - box.height / 2) / scale + turned.height / 2,
      };
  switch (quarters) {
    case 1:
      return { x: inside.y, y: image.height - inside.x };
    case 2:
      return { x: image.width - inside.x, y: image.height - inside.y };
    case 3:
      return { x: image.width - inside.y, y: inside.x };
    default:
      return inside;
  }
}

function over(top: Colour, below: Colour): Colour {
  const under = below[3] * (1 - top[3]);
  const alpha = top[3] + under;
  if (alpha === 0) return nothing;
  const mix = (c: 0 | 1 | 2) => (top[c] * top[3] + below[c] * under) / alpha;
  return [mix(0), mix(1), mix(2), alpha];
}
