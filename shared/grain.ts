/**
 * Matches the fine detail of a generated picture to the document's. A VAE loses grain, and the detail it
 * keeps may differ in contrast: this makes the border of an edit visible even if the colours match. The loss
 * is measured around the mask, where both pictures show the same thing.
 */
import { spreadKnown } from './colour.ts';
import { type Planar, planar } from './image.ts';

/** Limits for smoothing and sharpening detail: a larger difference is content. */
const gains = { least: 0.7, most: 1.5 };
/** The largest deviation of added grain, in a range of 2. */
const mostGrain = 0.12;

/**
 * Gives `generated` the grain and fine contrast of its surroundings in `original` wherever `mask` is 1; the
 * rest stays.
 * @param generated [3, h, w] in [-1, 1], with its colours already matched
 * @param original [3, h, w] in [-1, 1]
 * @param mask [1, h, w], 1 = generated
 */
export function matchGrain(generated: Planar, original: Planar, mask: Planar): Planar {
  const { width, height } = generated;
  const area = width * height;
  const detail = fineDetail(generated);
  const wanted = energyAround(fineDetail(original), mask);
  const found = energyAround(detail, mask);
  const matched = { ...generated, data: generated.data.slice() };
  if (!wanted || !found) return matched;
  for (let i = 0; i < area; i++) {
    if (mask.data[i] === 0) continue;
    const shared = noiseAt(i, 3);
    for (let c = 0; c < 3; c++) {
      const at = c * area + i;
      const [target, own] = [Math.max(0, wanted.data[at]!), Math.max(1e-7, found.data[at]!)];
      const gain = Math.min(gains.most, Math.max(gains.least, Math.sqrt(target / own)));
      // The detail of white noise has 8/9 of its energy, because a pixel makes up a ninth of the mean around
      // it.
      const missing = Math.max(0, target - gain * gain * own) * (9 / 8);
      // Half of a photo's grain is shared by its channels.
      const grain = Math.SQRT1_2 * (shared + noiseAt(i, c));
      matched.data[at] =
        generated.data[at]! + (gain - 1) * detail.data[at]! + Math.min(mostGrain, Math.sqrt(missing)) * grain;
    }
  }
  return matched;
}

/** Detail finer than 3 pixels: each pixel minus the mean of the nine around it. */
function fineDetail(image: Planar): Planar {
  const { width, height, data } = image;
  const detail = planar(3, image);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let dy = -1; dy <= 1; dy++) {
          const row = (c * height + Math.min(height - 1, Math.max(0, y + dy))) * width;
          for (let dx = -1; dx <= 1; dx++) sum += data[row + Math.min(width - 1, Math.max(0, x + dx))]!;
        }
        const at = (c * height + y) * width + x;
        detail.data[at] = data[at]! - sum / 9;
      }
    }
  }
  return detail;
}

/** The energy of the detail around the mask, extended into it. */
function energyAround(detail: Planar, mask: Planar): Planar | undefined {
  const area = detail.width * detail.height;
  const known = planar(4, detail);
  for (let i = 0; i < area; i++) {
    if (mask.data[i]! > 0) continue;
    for (let c = 0; c < 3; c++) known.data[c * area + i] = detail.data[c * area + i]! ** 2;
    known.data[3 * area + i] = 1;
  }
  return spreadKnown(known);
}

/** Noise of mean 0 and deviation 1 that depends only on the position: the sum of four hashed values. */
function noiseAt(i: number, channel: number): number {
  let sum = 0;
  for (let k = 0; k < 4; k++) {
    let hash = Math.imul(i * 16 + channel * 4 + k + 1, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    sum += ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 - 0.5;
  }
  // Each of the four has a variance of 1/12.
  return sum * Math.sqrt(3);
}
