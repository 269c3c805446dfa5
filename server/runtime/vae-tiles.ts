/**
 * The VAE, including for pictures too large to process at once. Its middle, which attends to the whole
 * picture, is small and runs once. Its levels run one convolution at a time, tile by tile: tiles overlap by
 * what a convolution sees, and each group norm gets the mean and variance of the whole picture. So nothing is
 * blended, and apart from rounding the result is what the whole picture would give. The cost: the activations
 * between two convolutions are in main memory; the device holds one tile.
 */

import type { Size } from '../../shared/bounds.ts';
import type { WeightsFile } from '../checkpoints/weights-file.ts';
import type { AttentionForm } from '../graph/precision.ts';
import type { Latent, PlanarImage } from '../models/networks.ts';
import {
  buildVAEDecoder,
  buildVAEDecoderMiddle,
  buildVAEEncoder,
  buildVAEEncoderMiddle,
  epsilon,
  latentChannels,
  latentFactor,
  normGroups,
  type Stage,
  stageReach,
  vaeDecoderStages,
  vaeEncoderStages,
} from '../models/vae.ts';
import type { SessionOptions } from './session.ts';
import { Session } from './session.ts';
import { SessionCache } from './session-cache.ts';

/**
 * A tile's side in latent pixels; pictures up to this area are not tiled: 1024 x 1024, FLUX's training size.
 */
const defaultSide = 128;

/** Converts pixels to latents and back. */
export interface VAE {
  /** [3, height, width] in [-1, 1], multiples of 16 -> [C, height / 8, width / 8], shifted and scaled. */
  encode(image: PlanarImage): Promise<Latent>;
  /** The inverse; values are not clipped. */
  decode(latent: Latent): Promise<PlanarImage>;
  release(): Promise<void>;
}

/**
 * @param capacity sessions to keep open in each direction, for pictures of different sizes
 * @param side in latent pixels; pictures up to its square are not tiled, and tiles are about this large
 */
export function openVAE(
  file: WeightsFile,
  capacity: number,
  options: SessionOptions & { readonly attention?: AttentionForm | undefined },
  side = defaultSide,
): VAE {
  const { attention } = options;
  const encoders = new SessionCache(capacity, options);
  const decoders = new SessionCache(capacity, options);
  const channels = latentChannels(file);
  const groups = normGroups(file);
  const isSmall = (width: number, height: number) => width * height <= side * side;

  /**
   * A session never returns GPU memory, here gigabytes, so only one of the two directions is open at a time.
   */
  const makeRoom = async (other: SessionCache) => {
    if (options.provider === 'cuda') await other.release();
  };

  return {
    async encode({ data, width, height }) {
      await makeRoom(decoders);
      const latentSize = { width: width / latentFactor, height: height / latentFactor };
      const { width: w, height: h } = latentSize;
      if (isSmall(w, h)) {
        const session = await encoders.get([h, w], () => buildVAEEncoder(file, height, width, attention));
        const { latent } = await session.run({ image: data }, 'latent');
        return { data: latent, channels, ...latentSize };
      }
      // So that no other session is open next to those of the stages.
      await encoders.release();
      const image = { data, channels: 3, width, height };
      const features = await runStages(vaeEncoderStages(file), image, side, groups, options);
      const middle = await Session.open(buildVAEEncoderMiddle(file, h, w, attention), options);
      const { latent } = await middle.run({ features: features.data }, 'latent');
      await middle.release();
      return { data: latent, channels, ...latentSize };
    },

    async decode({ data, width, height }) {
      await makeRoom(encoders);
      const imageSize = { width: width * latentFactor, height: height * latentFactor };
      if (isSmall(width, height)) {
        const session = await decoders.get([height, width], () =>
          buildVAEDecoder(file, height, width, attention),
        );
        const { image } = await session.run({ latent: data }, 'image');
        return { data: image, ...imageSize };
      }
      await decoders.release();
      const middle = await Session.open(buildVAEDecoderMiddle(file, height, width, attention), options);
      const { features } = await middle.run({ latent: data }, 'features');
      await middle.release();
      const whole = { data: features, channels: features.length / (width * height), width, height };
      const image = await runStages(vaeDecoderStages(file), whole, side, groups, options);
      return { data: image.data, ...imageSize };
    },

    async release() {
      await encoders.release();
      await decoders.release();
    },
  };
}

async function runStages(
  stages: readonly Stage[],
  picture: Latent,
  side: number,
  groups: number,
  options: SessionOptions,
): Promise<Latent> {
  const arrays = new Arrays();
  let x = picture;
  let skip: Latent | undefined;
  for (const stage of stages) {
    if (stage.block === 'opens') skip = x;
    const used = stage.block === 'closes' ? skip : undefined;
    const before = x;
    x = await runStage(stage, before, used, { size: tileSize(x, side, stage), groups, options, arrays });
    if (stage.block === 'closes') skip = undefined;
    for (const done of new Set([before, used])) {
      if (done && done !== skip && done !== picture) arrays.give(done.data);
    }
  }
  return x;
}

/** A pool for arrays of half a gigabyte: reusing them is faster than allocating new ones. */
class Arrays {
  #spare: Float32Array[] = [];

  /** The values are left over from before. */
  take(length: number): Float32Array {
    const known = this.#spare.find((array) => array.length === length);
    this.#spare = this.#spare.filter((array) => array !== known && array.length === length);
    return known ?? new Float32Array(length);
  }

  give(array: Float32Array): void {
    this.#spare.push(array);
  }
}

/** Channels of the level with the most pixels; levels with more channels have fewer pixels. */
const fullChannels = 256;

/** Tiles with as many values as one at the picture's own level, so that the coarse levels run untiled. */
function tileSize({ width, height, channels }: Latent, side: number, { scale }: Stage): Size {
  const pixels = (side * latentFactor) ** 2 * (fullChannels / Math.max(channels, fullChannels));
  const longest = Math.sqrt(pixels) / Math.max(1, scale);
  return {
    width: tileLength(width, longest, stageReach),
    height: tileLength(height, longest, stageReach),
  };
}

/** An even share of the whole, including the overlap; slightly above `longest` rather than one more tile. */
export function tileLength(whole: number, longest: number, reach: number): number {
  if (whole <= longest) return whole;
  const count = Math.ceil((whole - 2 * reach) / longest);
  // Even, because anything that is halved has to start at even positions.
  return 2 * Math.ceil((whole + 2 * reach * (count - 1)) / count / 2);
}

interface StageOptions {
  readonly size: Size;
  readonly groups: number;
  readonly options: SessionOptions;
  readonly arrays: Arrays;
}

async function runStage(
  stage: Stage,
  x: Latent,
  skip: Latent | undefined,
  { size, groups, options, arrays }: StageOptions,
): Promise<Latent> {
  const { scale } = stage;
  const statistics = stage.normalizes ? measure(x, groups) : {};
  const [width, height] = [x.width * scale, x.height * scale];
  const session = await Session.open(stage.build(size.height, size.width), options);
  const run = async (x: Float32Array, skip: Float32Array | undefined) =>
    (await session.run({ x, ...(skip && { skip }), ...statistics }, 'y')).y;
  try {
    if (size.width === x.width && size.height === x.height) {
      const data = await run(x.data, skip?.data);
      return { data, channels: data.length / (width * height), width, height };
    }
    const area = size.width * size.height;
    const pieces = {
      x: new Float32Array(x.channels * area),
      skip: skip && new Float32Array(skip.channels * area),
    };
    let joined: Latent | undefined;
    for (const row of placeTiles(x.height, size.height, stageReach)) {
      for (const column of placeTiles(x.width, size.width, stageReach)) {
        const tile = { row, column };
        cut(x, tile, size, pieces.x);
        if (skip && pieces.skip) cut(skip, tile, size, pieces.skip);
        const y = await run(pieces.x, pieces.skip);
        const channels = y.length / (area * scale * scale);
        joined ??= { data: arrays.take(channels * width * height), channels, width, height };
        paste(joined, y, tile, size, scale);
      }
    }
    return joined!;
  } finally {
    await session.release();
  }
}

/** A section of a tile: where it starts, and which range of it is kept. */
interface Stretch {
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

interface Tile {
  readonly row: Stretch;
  readonly column: Stretch;
}

/**
 * Equally long sections that cover the whole. Each is kept up to `reach` from its ends, except at the ends of
 * the whole.
 */
export function placeTiles(whole: number, length: number, reach: number): Stretch[] {
  const core = length - 2 * reach;
  if (whole > length && core < 1) {
    throw new RangeError(`tiles of ${length} cannot overlap by ${reach} on both sides`);
  }
  const count = whole <= length ? 1 : Math.ceil((whole - 2 * reach) / core);
  const starts = Array.from({ length: count }, (_, i) => Math.min(i * core, whole - length));
  return starts.map((start, i) => ({
    start,
    from: i === 0 ? 0 : start + reach,
    to: i === count - 1 ? whole : starts[i + 1]! + reach,
  }));
}

/** Copies the planes of a tile, [C, size.height, size.width], into an array. */
function cut(
  { data, channels, width, height }: Latent,
  { row, column }: Tile,
  size: Size,
  into: Float32Array,
): void {
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < size.height; y++) {
      const from = (c * height + row.start + y) * width + column.start;
      into.set(data.subarray(from, from + size.width), (c * size.height + y) * size.width);
    }
  }
}

/** Pastes the kept part of a tile, which is `scale` times its original size, into its place. */
function paste(into: Latent, made: Float32Array, { row, column }: Tile, size: Size, scale: number): void {
  const [width, height] = [size.width * scale, size.height * scale];
  const [left, right] = [column.from * scale, column.to * scale];
  for (let c = 0; c < into.channels; c++) {
    for (let y = row.from * scale; y < row.to * scale; y++) {
      const from = (c * height + y - row.start * scale) * width - column.start * scale;
      into.data.set(made.subarray(from + left, from + right), (c * into.height + y) * into.width + left);
    }
  }
}

/** The mean and inverse deviation of each group of channels, summed in doubles. */
function measure({ data, channels, width, height }: Latent, groups: number) {
  const count = (channels / groups) * width * height;
  const mean = new Float32Array(groups);
  const factor = new Float32Array(groups);
  for (let group = 0; group < groups; group++) {
    const begin = group * count;
    // Relative to a value of the group, so that the variance isn't lost in the squares of values far from 0.
    const around = data[begin]!;
    let sum = 0;
    let squares = 0;
    for (let i = begin; i < begin + count; i++) {
      const distance = data[i]! - around;
      sum += distance;
      squares += distance * distance;
    }
    mean[group] = around + sum / count;
    factor[group] = 1 / Math.sqrt(squares / count - (sum / count) ** 2 + epsilon);
  }
  return { mean, factor };
}
