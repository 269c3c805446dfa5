import { initializeCanvas, readPsd } from 'ag-psd';
import { describe, expect, it } from 'vitest';
import { layeredPSD, type Pixels } from '../../shared/psd.ts';

// The reader makes its images through this; no canvas is needed.
initializeCanvas(
  () => {
    throw new Error('no canvas is needed');
  },
  (width, height) => ({ width, height, data: new Uint8ClampedArray(width * height * 4), colorSpace: 'srgb' }),
);

function filled(width: number, height: number, at: (x: number, y: number) => number[]): Pixels {
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set(at(i % width, Math.floor(i / width)), i * 4);
  return { width, height, data };
}

const picture = filled(20, 10, (x, y) => [x * 10, y * 20, 7, 255]);
const flat = filled(20, 10, () => [1, 2, 3, 255]);
/** Its alpha is a ramp: 0 at the left, 255 at the right. */
const layer = filled(6, 4, (x) => [200, 100, 50, x * 51]);

const opened = (bounds = { left: 5, top: 3, width: 6, height: 4 }, visible = true) => {
  const bytes = layeredPSD(picture, [{ name: 'a red circle é', bounds, picture: layer, visible }], flat);
  return readPsd(bytes, { useImageData: true });
};

describe('a layered PSD', () => {
  it('has the picture below, byte for byte, and the layer above it at its place', () => {
    const psd = opened();
    expect([psd.width, psd.height]).toEqual([20, 10]);
    const [below, above] = psd.children!;
    expect(Buffer.from(below!.imageData!.data.buffer).equals(Buffer.from(picture.data))).toBe(true);
    expect(above).toMatchObject({
      name: 'a red circle é',
      left: 5,
      top: 3,
      right: 11,
      bottom: 7,
      hidden: false,
    });
  });

  it('carries the alpha in the layer mask, and keeps the colour below it', () => {
    const above = opened().children![1]!;
    expect(above.mask).toMatchObject({ left: 5, top: 3, right: 11, bottom: 7, defaultColor: 0 });
    const mask = above.mask!.imageData!.data;
    expect([0, 1, 2, 3, 4, 5].map((x) => mask[x * 4])).toEqual([0, 51, 102, 153, 204, 255]);
    expect([...above.imageData!.data.subarray(0, 4)]).toEqual([200, 100, 50, 255]);
  });

  it('shows programs without layers what all of it looks like', () => {
    expect([...opened().imageData!.data.subarray(0, 4)]).toEqual([1, 2, 3, 255]);
  });

  it('keeps what lies beyond the picture, and whether a layer is hidden', () => {
    const above = opened({ left: -2, top: 8, width: 6, height: 4 }, false).children![1]!;
    expect(above).toMatchObject({ left: -2, top: 8, right: 4, bottom: 12, hidden: true });
  });

  it('refuses pixels that are not as many as they say', () => {
    expect(() => layeredPSD({ ...picture, width: 21 }, [], flat)).toThrow('21x10');
  });
});
