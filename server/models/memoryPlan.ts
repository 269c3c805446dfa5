/**
 * What an edit may take of a device's memory, decided from sizes before anything is loaded. Nothing is computed here and
 * nothing asked of the device, so that every card can be tried in a test.
 */
import { CodedError } from '../../shared/errors.ts';

/** The same model in more or fewer bits, as its files lie on disk. All in bytes. */
export interface WeightForm {
  /** Of the catalogue: `flux-fill`, `flux-fill-8bit`. */
  readonly id: string;
  readonly transformer: number;
  /** T5 and CLIP. */
  readonly text: number;
  readonly autoencoder: number;
}

export interface ActivationSizes {
  /** Hidden width D of the transformer: 3072 in FLUX.1. */
  readonly width: number;
  /** Of what the transformer computes: 4 in float32, 2 in 16 bits. */
  readonly bytesPerValue: number;
  /** T5's tokens, which the transformer sees beside those of the picture. */
  readonly textTokens: number;
  /** Largest joined sequence that the model was made for, in tokens of 16x16 pixels. */
  readonly maxSequence: number;
}

export interface MemoryPlan {
  readonly form: WeightForm;
  /** The text encoders are freed before the transformer is loaded, at each edit, instead of staying beside it. */
  readonly inTurn: boolean;
  /** Joined tokens that fit; may be more than the model was made for. */
  readonly fittingSequence: number;
  /** Side of an autoencoder's tile in pixels of the latent. */
  readonly tileSide: number;
  /** The most that is expected to be taken at a time, at the model's own sequence or what fits of it. */
  readonly bytes: number;
}

/** CUDA's context, and what cuBLAS and cuDNN work in. */
const overhead = 900e6;
/** What is free may be less in a moment: the screen's share is not counted as free to begin with. */
const usable = 31 / 32;
/** 512x512 pixels: below this FLUX gives nothing that is worth waiting for. */
const leastSequence = 1024;

// What networks compute in, counted from what ONNX Runtime's CUDA provider asks a card for (`npm run measure:cuda`).

/** Rows of width D that are alive at a token in the middle of a single block: x, its norm, q, k, v and what of them is rotated, the MLP's 4 D twice, and both joined. */
const rowsPerToken = 20;
/** The largest layer, 5 D -> D, as it is multiplied with: cast, or made of fewer bits. */
const layerRows = 5;
/** T5-XXL: the matrices of an MLP in float32, and the scores of 512 tokens. */
const textActivations = 600e6;
/** Float32, as the autoencoder is computed in, that are alive at a pixel in the decoder's last level: maps of 256 channels and what a convolution unrolls; more where the whole goes through at once. */
const valuesPerPixel = { whole: 1050, tile: 900 };
const tileSides = [128, 64, 32] as const;

/**
 * What the allocator of a session takes for so many bytes: blocks of 1, 2, 4 ... MB, of 1 GB in the end, which it keeps. Weights are
 * not among them (server/graph/session.ts).
 */
function allocated(bytes: number): number {
  let [taken, block] = [0, 2 ** 20];
  while (taken < bytes) {
    taken += block;
    block = Math.min(2 * block, 2 ** 30);
  }
  return taken;
}

/** The most bytes for which `allocated` stays within a limit. */
function allocatedWithin(limit: number): number {
  let [taken, block] = [0, 2 ** 20];
  while (taken + block <= limit) {
    taken += block;
    block = Math.min(2 * block, 2 ** 30);
  }
  return taken;
}

/**
 * The best form that fits: all weights beside each other if possible, then text encoders and transformer in turn, then smaller
 * tiles, then fewer bits; fewer tokens only where nothing else is left.
 * @param free bytes of the device
 * @param forms the best first
 * @throws CodedError `out-of-memory`
 */
export function planMemory(free: number, forms: readonly WeightForm[], sizes: ActivationSizes): MemoryPlan {
  const budget = free * usable - overhead;
  // To load the text encoders anew takes less time than to decode in tiles, which go through main memory.
  const ways = forms.flatMap((form) =>
    tileSides.flatMap((tileSide) => [false, true].map((inTurn) => ({ form, inTurn, tileSide }))),
  );
  const plans = ways.map((way) => planWay(budget, way, sizes));
  const whole = plans.find(({ fittingSequence }) => fittingSequence >= sizes.maxSequence);
  if (whole) return whole;
  const last = plans.at(-1)!;
  if (last.fittingSequence >= Math.min(leastSequence, sizes.maxSequence)) return last;
  throw tooLarge(free, bytesOf(ways.at(-1)!, sizes, leastSequence) + overhead, last.form);
}

type Way = Pick<MemoryPlan, 'form' | 'inTurn' | 'tileSide'>;

function planWay(budget: number, way: Way, sizes: ActivationSizes): MemoryPlan {
  const rest = allocatedWithin(budget - bytesBeside(way));
  const ofTokens = rest - transformerActivations(sizes, 0);
  const fittingSequence = Math.max(0, Math.floor(ofTokens / bytesPerToken(sizes)));
  const bytes = bytesOf(way, sizes, Math.min(fittingSequence, sizes.maxSequence));
  return { ...way, fittingSequence, bytes };
}

/** While a step is previewed, transformer and decoder have their memory at the same time. */
function bytesOf(way: Way, sizes: ActivationSizes, sequence: number): number {
  return bytesBeside(way) + allocated(transformerActivations(sizes, sequence));
}

/** Everything but what the transformer computes in. In turn, encoding a text takes less than what comes after it. */
function bytesBeside({ form: { transformer, text, autoencoder }, inTurn, tileSide }: Way): number {
  const encoders = text + allocated(textActivations);
  const networks = inTurn ? Math.max(transformer, encoders) : transformer + encoders;
  return networks + autoencoder + allocated(autoencoderActivations(tileSide));
}

/** @param sequence joined tokens of references and target */
export function transformerActivations(sizes: ActivationSizes, sequence: number): number {
  const { width, textTokens, bytesPerValue } = sizes;
  return bytesPerToken(sizes) * (sequence + textTokens) + bytesPerValue * layerRows * width ** 2;
}

function bytesPerToken({ width, bytesPerValue }: ActivationSizes): number {
  return bytesPerValue * rowsPerToken * width;
}

export function autoencoderActivations(tileSide: number): number {
  const values = tileSide === tileSides[0] ? valuesPerPixel.whole : valuesPerPixel.tile;
  return 4 * values * (8 * tileSide) ** 2;
}

function tooLarge(free: number, needed: number, form: WeightForm): CodedError {
  const made = /-4bit$/.test(form.id);
  const base = form.id.replace(/-[48]bit$/, '');
  return new CodedError('out-of-memory', {
    detail: `The model "${form.id}" takes at least ${gigabytes(needed)} of memory, and ${gigabytes(free)} are free on this device.`,
    remedy: made
      ? 'Close what else uses the graphics card, or choose the model "pocket".'
      : `Make it smaller once with "npm run quantize -- --model ${base} --bits 4", or choose the model "pocket".`,
  });
}

/** `11.2 GB` */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
