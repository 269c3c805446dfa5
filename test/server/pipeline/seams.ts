/**
 * How visible the border of an edit is. A generator that shows the document itself, with a known cast, gain
 * and blur, stands for the model, so that the step across the border can be compared with the picture's own
 * at the same place.
 */
import { compositeLayer } from '../../../server/pipeline/composite.ts';
import { readUnits } from '../../../server/pipeline/condition.ts';
import type { EditInput } from '../../../server/pipeline/input.ts';
import { resolveEdit } from '../../../server/pipeline/resolve.ts';
import { composite } from '../../../shared/composite.ts';
import type { Planar, Raster } from '../../../shared/image.ts';
import { type Mask, maskBounds } from '../../../shared/mask.ts';
import { seeded } from '../pictures/malformed.ts';

export interface Generator {
  /** Added, of 1. */
  readonly cast: readonly [number, number, number];
  /** Contrast around the mean. */
  readonly gain: number;
  /** Passes of a blur of 3 x 3. */
  readonly blur: number;
}

export interface SeamCase {
  readonly name: string;
  readonly picture: Raster;
  readonly mask: Mask;
  readonly generator: Generator;
}

const side = 256;
export const grounds = ['flat', 'gradient', 'textured', 'noisy'] as const;

/** @param number determines everything about the case */
export function seamCase(number: number): SeamCase {
  const roll = seeded(1000 + number);
  const unit = () => roll(1 << 20) / (1 << 20);
  const ground = grounds[number % grounds.length]!;
  const base = [0, 1, 2].map(() => 60 + roll(120));
  const slope = [0, 1, 2].map(() => (unit() - 0.5) * 0.5);
  const noise = () => unit() + unit() + unit() + unit() - 2;
  const data = new Uint8Array(side * side * 3);
  for (let i = 0; i < side * side; i++) {
    const [x, y] = [i % side, Math.floor(i / side)];
    const texture = 18 * Math.sin(x / 2.3 + Math.sin(y / 9)) + 12 * Math.sin(y / 1.9 + x / 15);
    for (let c = 0; c < 3; c++) {
      const value = {
        flat: base[c]!,
        gradient: base[c]! + slope[c]! * (x - side / 2) + slope[(c + 1) % 3]! * (y - side / 2),
        textured: base[c]! + texture * (1 - 0.2 * c),
        noisy: base[c]! + 14 * noise(),
      }[ground];
      data[i * 3 + c] = Math.min(255, Math.max(0, Math.round(value)));
    }
  }
  const [cx, cy, rx, ry] = [100 + roll(56), 100 + roll(56), 30 + roll(40), 30 + roll(40)];
  const isBox = roll(2) === 0;
  const isInside = (x: number, y: number) =>
    isBox ? Math.abs(x - cx) < rx && Math.abs(y - cy) < ry : ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1;
  const mask = {
    width: side,
    height: side,
    data: Uint8Array.from({ length: side * side }, (_, i) =>
      isInside(i % side, Math.floor(i / side)) ? 255 : 0,
    ),
  };
  const cast = [0, 1, 2].map(() => (unit() - 0.5) * 0.1) as [number, number, number];
  const generator = { cast, gain: 0.85 + 0.3 * unit(), blur: roll(3) };
  return {
    name: `${number} ${ground}`,
    picture: { width: side, height: side, channels: 3, data },
    mask,
    generator,
  };
}

/** What the generator turns the target into. */
function generated(image: Planar, { cast, gain, blur }: Generator): Planar {
  const { width, height } = image;
  let data = Float32Array.from(image.data);
  for (let pass = 0; pass < blur; pass++) {
    const before = data;
    data = before.map((_, i) => {
      const [x, y] = [i % width, Math.floor(i / width) % height];
      let sum = 0;
      let count = 0;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          if (x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height) continue;
          sum += before[i + dy * width + dx]!;
          count++;
        }
      }
      return sum / count;
    });
  }
  const area = width * height;
  const mean = [0, 1, 2].map(
    (c) => data.subarray(c * area, (c + 1) * area).reduce((a, b) => a + b, 0) / area,
  );
  return {
    ...image,
    data: data.map((value, i) => {
      const c = Math.floor(i / area);
      return mean[c]! + gain * (value - mean[c]!) + 2 * cast[c]!;
    }),
  };
}

/** The finished picture of a case, and what a plain paste of the generator's pixels would be. */
export function finish({ picture, mask, generator }: SeamCase): {
  readonly finished: Raster;
  readonly pasted: Raster;
} {
  const given = { edit: true, mask: true, references: 0 };
  const request = { version: 1, instruction: 'the same', seed: 1, window: { maxSequence: 256 } } as const;
  const model = { id: 'fill', family: 'fill', maxSequence: 256, adapters: [] } as const;
  const edit = resolveEdit(request, { picture, painted: maskBounds(mask), references: [], given }, model);
  const input: EditInput = {
    request,
    edit: picture,
    mask,
    references: [],
    given,
    origin: { left: 0, top: 0 },
    notes: [],
  };
  const { target } = readUnits(input, edit);
  if (!target.image) throw new Error('the case has a picture');
  const decoded = generated(target.image, generator);
  const layer = (pixels: Uint8Array | Uint16Array): Raster => ({ ...edit.layer, channels: 4, data: pixels });
  const finished = composite(picture, layer(compositeLayer(decoded, target, input, edit)), edit.layer);
  const unmatched = compositeLayer(decoded, { mask: target.mask }, { ...input }, edit);
  return { finished, pasted: composite(picture, layer(unmatched), edit.layer) };
}

/**
 * Steps across the border, relative to the picture's own, in tiles of 16 pixels along it: of the mean, in
 * levels of 255, and of the deviation of what is finer than 3 pixels. 1 is as the picture itself.
 */
export function steps(
  result: Raster,
  original: Raster,
  mask: Mask,
): { readonly mean: number[]; readonly grain: number[] } {
  const tiles = new Map<number, { inside: number[]; outside: number[] }>();
  const isIn = (x: number, y: number) => mask.data[y * side + x]! > 0;
  const reach = 5;
  for (let y = reach; y < side - reach; y++) {
    for (let x = reach; x < side - reach; x++) {
      const here = isIn(x, y);
      let near = reach + 1;
      for (let dy = -reach; dy <= reach; dy++) {
        for (let dx = -reach; dx <= reach; dx++) {
          if (isIn(x + dx, y + dy) !== here) near = Math.min(near, Math.max(Math.abs(dx), Math.abs(dy)));
        }
      }
      if (near > reach) continue;
      const tile = Math.floor(y / 16) * 100 + Math.floor(x / 16);
      const both = tiles.get(tile) ?? { inside: [], outside: [] };
      both[here ? 'inside' : 'outside'].push(y * side + x);
      tiles.set(tile, both);
    }
  }
  const mean: number[] = [];
  const grain: number[] = [];
  for (const { inside, outside } of tiles.values()) {
    if (inside.length < 20 || outside.length < 20) continue;
    for (let c = 0; c < 3; c++) {
      const step = (picture: Raster) => Math.abs(meanOf(picture, inside, c) - meanOf(picture, outside, c));
      mean.push((step(result) + 1) / (step(original) + 1));
      const ratio = (picture: Raster) =>
        (deviation(picture, inside, c) + 0.5) / (deviation(picture, outside, c) + 0.5);
      const relative = ratio(result) / ratio(original);
      grain.push(Math.max(relative, 1 / relative));
    }
  }
  return { mean, grain };
}

function meanOf({ data }: Raster, pixels: readonly number[], c: number): number {
  return pixels.reduce((sum, i) => sum + data[i * 3 + c]!, 0) / pixels.length;
}

function deviation({ data }: Raster, pixels: readonly number[], c: number): number {
  let sum = 0;
  for (const i of pixels) {
    let around = 0;
    for (const step of [-side - 1, -side, -side + 1, -1, 0, 1, side - 1, side, side + 1]) {
      around += data[(i + step) * 3 + c]!;
    }
    sum += (data[i * 3 + c]! - around / 9) ** 2;
  }
  return Math.sqrt(sum / pixels.length);
}

export function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? 0;
}
