import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it, test } from 'vitest';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { projectRoot } from '../../../server/disk/paths.ts';
import { openVAE, placeTiles, tileLength } from '../../../server/runtime/vae-tiles.ts';
import { boundsOf } from '../../../shared/bounds.ts';
import { resizeToPlanar, rowsOf } from '../../../shared/resize.ts';

describe('tiles', () => {
  it('cover every pixel once and keep nothing affected by an edge inside the picture', () => {
    for (const [whole, length, reach] of [
      [40, 12, 2],
      [41, 12, 2],
      [12, 12, 2],
      [7, 12, 2],
      [13, 5, 2],
      [26, 10, 1],
    ] as const) {
      const tiles = placeTiles(whole, Math.min(whole, length), reach);
      expect(tiles[0]!.from).toBe(0);
      expect(tiles.at(-1)!.to).toBe(whole);
      tiles.forEach(({ start, from, to }, i) => {
        expect(from).toBeLessThan(to);
        if (i > 0) expect([from, from - start >= reach]).toEqual([tiles[i - 1]!.to, true]);
        if (i < tiles.length - 1) expect(start + length - to).toBeGreaterThanOrEqual(reach);
      });
    }
  });
});

test.each([
  // Two slightly longer tiles instead of three.
  { whole: 1024, longest: 512, length: 514, count: 2 },
  { whole: 1040, longest: 512, length: 350, count: 3 },
  { whole: 512, longest: 512, length: 512, count: 1 },
  { whole: 60, longest: 32.5, length: 32, count: 2 },
])('$whole pixels in tiles of about $longest: $count of $length', ({ whole, longest, length, count }) => {
  expect(tileLength(whole, longest, 2)).toBe(length);
  const tiles = placeTiles(whole, length, 2);
  expect(tiles).toHaveLength(count);
  // What is halved starts at even positions.
  for (const { start } of tiles) expect(start % 2).toBe(0);
});

describe('a picture larger than a tile', async () => {
  const file = await WeightsFile.open(path.join(projectRoot, 'server/pocket/ae.safetensors'));
  const options = { provider: 'cpu', copiesWeights: false } as const;
  const size = { width: 224, height: 160 };
  const picture = path.join(projectRoot, 'test/reference/pictures/recolor_edit.png');
  const { data } = await sharp(picture)
    .resize({ ...size, fit: 'fill' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const image = resizeToPlanar(rowsOf({ ...size, channels: 3, data }, boundsOf(size)), size);
  const whole = openVAE(file, 1, options, 1000);
  // 28 x 20 latent pixels in tiles of 12.
  const tiled = openVAE(file, 1, options, 12);
  const latent = await whole.encode(image);
  const decoded = await whole.decode(latent);

  it('is encoded as if it were not tiled', async () => {
    const inTiles = await tiled.encode(image);
    expect({ ...inTiles, data: 0 }).toEqual({ ...latent, data: 0 });
    expect(largestDifference(inTiles.data, latent.data)).toBeLessThan(1e-4);
  });

  it('is decoded to within a hundredth of a level of 255, at the tiles’ edges as elsewhere', async () => {
    const inTiles = await tiled.decode(latent);
    expect({ ...inTiles, data: 0 }).toEqual({ ...decoded, data: 0 });
    const hundredth = 2 / 255 / 100;
    expect(largestDifference(inTiles.data, decoded.data)).toBeLessThan(hundredth);
    // A seam would be a step between neighbours that the untiled picture lacks.
    const error = inTiles.data.map((value, i) => value - decoded.data[i]!);
    for (const neighbour of [1, size.width]) {
      const steps = error.map((value, i) => Math.abs(value - (error[i - neighbour] ?? value)));
      expect(Math.max(...steps)).toBeLessThan(hundredth);
    }
  });
});

function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
