import sharp from 'sharp';
import {
  apply,
  type NodeState,
  type Point,
  type Rect,
  type Scene,
  type Transform,
  unapply,
} from './scene.ts';

/** RGBA, straight alpha, 0..1 each. */
type Colour = readonly [red: number, green: number, blue: number, alpha: number];

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Buffer;
}

const nothing: Colour = [0, 0, 0, 0];
const decoded = new WeakMap<Uint8Array, Promise<Pixels>>();

export function decodeImage(bytes: Uint8Array): Promise<Pixels> {
  const known =
    decoded.get(bytes) ??
    sharp(bytes)
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
      .then(({ data, info: { width, height } }) => ({ data, width, height }));
  decoded.set(bytes, known);
  return known;
}

/** Draws a rectangle of the page, `width` x `height` pixels, as RGBA; only one node's picture, or all of the page. */
export async function render(
  scene: Scene,
  id: string,
  area: Rect,
  { width, height }: { width: number; height: number },
): Promise<Buffer> {
  const images = new Map<string, Pixels>();
  for (const [hash, bytes] of scene.images) images.set(hash, await decodeImage(bytes));
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
    if (inside && (state.type !== 'ELLIPSE' || inEllipse(local, width, height))) {
      for (const fill of state.fills) {
        colour = over(fillAt(fill, { x: local.x / width, y: local.y / height }, state, images), colour);
      }
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

function fillAt(
  fill: NodeState['fills'][number],
  unit: Point,
  { width, height }: NodeState,
  images: ReadonlyMap<string, Pixels>,
): Colour {
  if (fill.type === 'SOLID') return [fill.color.r, fill.color.g, fill.color.b, 1];
  const image = images.get(fill.imageHash)!;
  const at =
    fill.scaleMode === 'CROP' && fill.imageTransform
      ? apply(fill.imageTransform, unit)
      : filled(unit, { width, height }, image);
  const x = Math.floor(at.x * image.width);
  const y = Math.floor(at.y * image.height);
  if (x < 0 || y < 0 || x >= image.width || y >= image.height) return nothing;
  const from = (y * image.width + x) * 4;
  return [...image.data.subarray(from, from + 4)].map((value) => value / 255) as unknown as Colour;
}

/** FILL: as large as it must be to cover, its middle in the middle. */
function filled(unit: Point, box: { width: number; height: number }, image: Pixels): Point {
  const scale = Math.max(box.width / image.width, box.height / image.height);
  const spare = { x: image.width * scale - box.width, y: image.height * scale - box.height };
  return {
    x: (unit.x * box.width + spare.x / 2) / (image.width * scale),
    y: (unit.y * box.height + spare.y / 2) / (image.height * scale),
  };
}

function over(top: Colour, below: Colour): Colour {
  const under = below[3] * (1 - top[3]);
  const alpha = top[3] + under;
  if (alpha === 0) return nothing;
  const mix = (c: 0 | 1 | 2) => (top[c] * top[3] + below[c] * under) / alpha;
  return [mix(0), mix(1), mix(2), alpha];
}
