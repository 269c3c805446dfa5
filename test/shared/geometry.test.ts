import { describe, expect, it } from 'vitest';
import { randn } from '../../server/sampling/noise.ts';
import { boundsOf, contains } from '../../shared/bounds.ts';
import { linearFromSRGB, matchSurroundings, sRGBFromLinear } from '../../shared/colour.ts';
import { composite } from '../../shared/composite.ts';
import { cropWindow, nativeSide } from '../../shared/crop-window.ts';
import { type Planar, planar, type Raster } from '../../shared/image.ts';
import { dilate, featherInward, isHardEdged, type Mask, maskBounds } from '../../shared/mask.ts';
import { nearestExact, resizeRows, resizeToPlanar, rowsOf, rowsOfPlanar } from '../../shared/resize.ts';
import { resolveTask } from '../../shared/tasks.ts';
import { joinUnits, layOutUnits } from '../../shared/units.ts';

/** Whole numbers from..to, the same in every run. */
function dice(seed: number): (from: number, to: number) => number {
  let state = seed;
  return (from, to) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return from + Math.floor((state / 2 ** 32) * (to - from + 1));
  };
}

const maskOf = (width: number, height: number, inside: (x: number, y: number) => boolean): Mask => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height }, (_, i) =>
    inside(i % width, Math.floor(i / width)) ? 255 : 0,
  ),
});
const row = (...values: number[]): Planar => ({
  channels: 1,
  width: values.length,
  height: 1,
  data: Float32Array.from(values),
});
const flat = (channels: number, width: number, height: number, value: number): Planar => {
  const image = planar(channels, { width, height });
  image.data.fill(value);
  return image;
};

describe('the crop window', () => {
  it('covers the mask, and stays in the picture and within 4:1, at any size', () => {
    const roll = dice(1);
    for (let n = 0; n < 500; n++) {
      const picture = { width: roll(1, 6000), height: roll(1, 6000) };
      const width = roll(1, picture.width);
      const height = roll(1, picture.height);
      const mask = {
        left: roll(0, picture.width - width),
        top: roll(0, picture.height - height),
        width,
        height,
      };
      const window = cropWindow(mask, picture, { context: roll(0, 8) / 4, least: 16 * roll(1, 64) });
      expect(contains(window, mask)).toBe(true);
      expect(Math.max(window.width / window.height, window.height / window.width)).toBeLessThanOrEqual(4);
      const thin = Math.max(picture.width / picture.height, picture.height / picture.width) > 4;
      if (!thin) expect(contains(boundsOf(picture), window)).toBe(true);
    }
  });

  it('is the native size, in whole tokens, around a small mask', () => {
    const mask = { left: 3000, top: 10, width: 20, height: 20 };
    const window = cropWindow(mask, { width: 6000, height: 4000 }, { context: 0.5, least: nativeSide(576) });
    expect(window).toEqual({ left: 2818, top: 0, width: 384, height: 384 });
  });
});

describe('masks', () => {
  it('have the bounds of the painted area, or none', () => {
    expect(maskBounds(maskOf(9, 7, (x, y) => x === 3 && y >= 2 && y < 5))).toEqual({
      left: 3,
      top: 2,
      width: 1,
      height: 3,
    });
    expect(maskBounds(maskOf(9, 7, () => false))).toBeUndefined();
  });

  it('dilate by the radius on every side', () => {
    for (const radius of [1, 2, 5]) {
      const grown = dilate(
        maskOf(20, 18, (x, y) => x === 9 && y === 8),
        radius,
      );
      expect(maskBounds(grown)).toEqual({
        left: 9 - radius,
        top: 8 - radius,
        width: 2 * radius + 1,
        height: 2 * radius + 1,
      });
    }
  });

  it('are feathered inwards only: 0 stays 0, painted pixels stay above 0', () => {
    const roll = dice(2);
    const mask: Mask = {
      width: 40,
      height: 30,
      data: Uint8Array.from({ length: 1200 }, () => Math.max(0, roll(-300, 255))),
    };
    const soft = featherInward(mask, 4);
    soft.data.forEach((value, i) => {
      expect(value).toBeLessThanOrEqual(mask.data[i]!);
      expect(value > 0).toBe(mask.data[i]! > 0);
    });
  });

  it('keep their middle, and the picture’s edge, when feathered', () => {
    const mask = maskOf(40, 40, (x) => x < 20);
    const soft = featherInward(mask, 3);
    expect([...soft.data.subarray(800, 820)].at(0)).toBe(255);
    expect(soft.data[819]).toBeLessThan(80);
    expect(isHardEdged(mask)).toBe(true);
    expect(isHardEdged(featherInward(mask, 6))).toBe(false);
  });

  it('are feathered by local thickness: a wire survives, next to a blob or alone', () => {
    const isWire = (x: number, y: number) => y >= 30 && y < 33 && x >= 4;
    const isBlob = (x: number, y: number) => x >= 60 && x < 110 && y >= 5 && y < 55;
    const beside = featherInward(
      maskOf(120, 60, (x, y) => isWire(x, y) || isBlob(x, y)),
      12,
    );
    const alone = featherInward(maskOf(120, 60, isWire), 12);
    for (let x = 10; x < 50; x++) {
      expect(beside.data[31 * 120 + x]).toBe(255);
      expect(beside.data[30 * 120 + x]).toBe(alone.data[30 * 120 + x]);
    }
    // The blob itself has the wide feather.
    expect(beside.data[20 * 120 + 61]).toBeLessThan(30);
    expect(beside.data[25 * 120 + 85]).toBe(255);
  });
});

describe('resizing', () => {
  it('is torch’s antialiased bilinear', () => {
    // torch.nn.functional.interpolate(torch.arange(10.) ** 2, size=4, mode='bilinear', antialias=True)
    const squares = Float32Array.from({ length: 10 }, (_, i) => i * i);
    const source = { channels: 1, width: 10, height: 1, data: squares };
    const small = resizeToPlanar(rowsOfPlanar(source), { width: 4, height: 1 });
    expect([...small.data].map((value) => Math.round(value * 1000) / 1000)).toEqual([
      1.727, 11.56, 34.24, 64.727,
    ]);
    const large = resizeToPlanar(rowsOfPlanar(row(0, 10, 40)), { width: 6, height: 1 });
    expect([...large.data]).toEqual([0, 2.5, 7.5, 17.5, 32.5, 40]);
  });

  it('is torch’s nearest-exact', () => {
    expect([0, 1, 2].map((i) => nearestExact(i, 7, 3))).toEqual([1, 3, 5]);
    expect([0, 1, 2, 3, 4, 5].map((i) => nearestExact(i, 3, 6))).toEqual([0, 0, 1, 1, 2, 2]);
  });

  it('gives a region the same rows as the whole', () => {
    const image: Planar = { channels: 3, width: 31, height: 17, data: randn(1, 3 * 31 * 17) };
    const size = { width: 50, height: 40 };
    const whole = resizeToPlanar(rowsOfPlanar(image), size, 'lanczos');
    const region = { left: 12, top: 9, width: 20, height: 15 };
    resizeRows(rowsOfPlanar(image), size, region, 'lanczos', (y, values) => {
      for (let x = 0; x < region.width; x++) {
        expect(values[x * 3 + 1]).toBeCloseTo(whole.data[2000 + (y + 9) * 50 + x + 12]!, 5);
      }
    });
  });

  it('leaves every 8-bit value unchanged at the same size', () => {
    const data = Uint8Array.from({ length: 256 * 3 }, (_, i) => i % 256);
    const picture: Raster = { width: 256, height: 1, channels: 3, data };
    const size = { width: 256, height: 1 };
    const same = resizeToPlanar(rowsOf(picture, boundsOf(picture)), size, 'lanczos');
    const back = rowsOfPlanar(same);
    const values = new Float32Array(256 * 3);
    back.row(0, values);
    expect(values.map((value) => Math.round(((value + 1) / 2) * 255))).toEqual(Float32Array.from(data));
  });
});

describe('condition units', () => {
  it('fit the sequence in whole tokens, at any size', () => {
    const roll = dice(3);
    for (let n = 0; n < 300; n++) {
      const size = () => ({ width: roll(16, 3000), height: roll(16, 3000) });
      const maxSequence = roll(36, 4096);
      const references = Array.from({ length: roll(0, 9) }, size);
      const keepPixels = roll(0, 1) === 1;
      const layout = layOutUnits({ width: roll(200, 2000), height: roll(200, 2000) }, references, {
        maxSequence,
        keepPixels,
      });
      expect(layout.tokens).toBeLessThanOrEqual(maxSequence);
      for (const { drawn, slot } of layout.references) {
        expect(slot.height).toBe(layout.target.height);
        expect(slot.width % 16).toBe(0);
        expect(drawn.width).toBeLessThanOrEqual(slot.width);
        expect(drawn.height).toBeLessThanOrEqual(slot.height);
      }
    }
  });

  it('scale a 1024 square with a square reference to 720, as in the authors’ budget', () => {
    const square = { width: 1024, height: 1024 };
    const layout = layOutUnits(square, [square], { maxSequence: 4096, keepPixels: false });
    expect(layout.target).toEqual({ width: 720, height: 720 });
    expect(layout.joined).toEqual({ width: 1440, height: 720 });
  });

  it('keep a small reference’s pixels, and scale a tall one to 0.8 of the height', () => {
    const target = { width: 100, height: 160 };
    const small = layOutUnits(target, [{ width: 48, height: 40 }], { maxSequence: 4096, keepPixels: true });
    expect(small.target.height).toBeGreaterThanOrEqual(160);
    const options = { maxSequence: 100, keepPixels: true };
    const tall = layOutUnits({ width: 160, height: 160 }, [{ width: 200, height: 400 }], options);
    expect(tall.references[0]!.drawn.height / tall.target.height).toBeCloseTo(0.8, 1);
  });

  it('mask by the repainting scale, and split off the change image', () => {
    const layout = layOutUnits({ width: 16, height: 16 }, [{ width: 16, height: 16 }], {
      maxSequence: 4,
      keepPixels: false,
    });
    expect(layout.joined).toEqual({ width: 32, height: 16 });
    const mask = planar(1, layout.target);
    mask.data.fill(1, 0, 128);
    const target = { image: flat(3, 16, 16, 0.8), mask };
    const reference = [flat(3, 16, 16, -0.5)];
    const fill = joinUnits(target, reference, layout, {
      repaintingScale: 0.5,
      padding: 0,
      withChange: false,
    });
    // Reference on the left, target on the right; rows 0 to 7 of the target are masked.
    expect([0, 16, 32 * 8 + 16].map((i) => fill.edit.data[i]!.toFixed(3))).toEqual([
      '-0.500',
      '0.400',
      '0.800',
    ]);
    expect([0, 16, 32 * 8 + 16].map((i) => fill.mask.data[i])).toEqual([0, 1, 0]);
    expect(fill.change).toBeUndefined();
    const fft = joinUnits(target, reference, layout, { repaintingScale: 0, padding: 0, withChange: true });
    expect([16, 32 * 8 + 16].map((i) => fft.edit.data[i]!.toFixed(3))).toEqual(['0.000', '0.800']);
    expect([0, 16, 32 * 8 + 16].map((i) => fft.change!.data[i]!.toFixed(3))).toEqual([
      '0.000',
      '0.800',
      '0.000',
    ]);
  });
});

describe('the task', () => {
  it('is inferred from the inputs', () => {
    const given = (edit: boolean, mask: boolean, references: number) =>
      resolveTask({ instruction: 'a lamp' }, { edit, mask, references }).task;
    expect(given(false, false, 0)).toBe('text-to-image');
    expect(given(false, false, 2)).toBe('reference-generation');
    expect(given(true, false, 1)).toBe('general-editing');
    expect(given(true, true, 0)).toBe('inpaint');
    expect(given(true, true, 1)).toBe('local-reference-editing');
  });

  it('reports its missing inputs', () => {
    const nothing = { edit: true, mask: true, references: 0 };
    expect(() => resolveTask({ task: 'local-reference-editing', instruction: 'x' }, nothing)).toThrow(
      'needs a reference',
    );
    expect(() => resolveTask({ task: 'text-to-image', instruction: 'x' }, nothing)).toThrow(
      'takes no picture',
    );
    expect(resolveTask({ instruction: '' }, nothing).task).toBe('inpaint');
  });
});

describe('colour', () => {
  it('goes to linear light and back', () => {
    for (let i = 0; i <= 255; i++) {
      expect(sRGBFromLinear(linearFromSRGB(i / 255)) * 255).toBeCloseTo(i, 6);
    }
  });

  it('loses a cast that varies over the picture, only inside the mask', () => {
    const original = flat(3, 64, 64, 0);
    const generated = flat(3, 64, 64, 0);
    for (let i = 0; i < generated.data.length; i++) generated.data[i] = 0.06 + 0.06 * ((i % 64) / 64);
    const mask = planar(1, generated);
    for (let i = 0; i < 4096; i++) {
      const [x, y] = [i % 64, Math.floor(i / 64)];
      mask.data[i] = x >= 16 && x < 48 && y >= 16 && y < 48 ? 1 : 0;
    }
    const matched = matchSurroundings(generated, original, mask);
    const error = (image: Planar) => {
      const inside = [...mask.data.keys()].filter((i) => mask.data[i] === 1);
      return inside.reduce((sum, i) => sum + Math.abs(image.data[i]!), 0) / inside.length;
    };
    expect(error(matched)).toBeLessThan(error(generated) / 4);
    expect(matched.data[5]).toBe(generated.data[5]);
  });

  it('does not bleed from surroundings that show something else', () => {
    const original = flat(3, 32, 32, 0.9);
    const generated = flat(3, 32, 32, -0.9);
    const mask = planar(1, generated);
    mask.data.fill(1, 320, 640);
    const matched = matchSurroundings(generated, original, mask);
    const shift = linearFromSRGB((matched.data[480]! + 1) / 2) - linearFromSRGB(0.05);
    expect(Math.abs(shift)).toBeLessThan(0.081);
  });
});

describe('compositing', () => {
  it('keeps the document where alpha is 0 and the layer where it is full, with and without alpha', () => {
    const roll = dice(4);
    for (const channels of [3, 4] as const) {
      const bytes = (length: number) => Uint8Array.from({ length }, () => roll(0, 255));
      const document: Raster = { width: 20, height: 10, channels, data: bytes(200 * channels) };
      const layer: Raster = { width: 12, height: 12, channels: 4, data: bytes(144 * 4) };
      layer.data.forEach((_, i) => {
        if (i % 4 === 3) layer.data[i] = roll(0, 1) * 255;
      });
      const result = composite(document, layer, { left: -3, top: 4 });
      for (let i = 0; i < 200; i++) {
        const [x, y] = [(i % 20) + 3, Math.floor(i / 20) - 4];
        const over = x < 12 && y >= 0 && layer.data[(y * 12 + x) * 4 + 3] === 255;
        const expected = over
          ? [...layer.data.subarray((y * 12 + x) * 4, (y * 12 + x) * 4 + channels)]
          : [...document.data.subarray(i * channels, (i + 1) * channels)];
        expect([...result.data.subarray(i * channels, (i + 1) * channels)]).toEqual(expected);
      }
    }
  });

  it('does not modify its input document, whether a Buffer or 16 bits', () => {
    const layer = { width: 1, height: 1, channels: 4, data: Uint8Array.of(9, 9, 9, 255) } as const;
    const bytes = Buffer.alloc(3, 50);
    composite({ width: 1, height: 1, channels: 3, data: bytes }, layer, { left: 0, top: 0 });
    expect([...bytes]).toEqual([50, 50, 50]);
    const deep = Uint16Array.of(50, 50, 50);
    const deepLayer = { ...layer, data: Uint16Array.of(9, 9, 9, 65535) };
    composite({ width: 1, height: 1, channels: 3, data: deep }, deepLayer, { left: 0, top: 0 });
    expect([...deep]).toEqual([50, 50, 50]);
  });
});
