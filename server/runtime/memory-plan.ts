/**
 * What an edit may take of a device's memory, decided from sizes before anything is loaded. Nothing is computed here and
 * nothing asked of the device, so that every GPU can be tried in a test.
 */
import { CodedError } from '../../shared/errors.ts';
import { computingWithin, type GPUWeights, sessionBytes } from './cuda-memory.ts';

/** The same model in more or fewer bits, as its weights lie on a GPU. */
export interface WeightForm {
  /** Of the catalogue: `flux-fill`, `flux-fill-8bit`. */
  readonly id: string;
  readonly transformer: GPUWeights;
  readonly t5: GPUWeights;
  readonly clip: GPUWeights;
  readonly vae: GPUWeights;
}

export interface ActivationSizes {
  /** Hidden size D of the transformer: 3072 in FLUX.1. */
  readonly hiddenSize: number;
  /** Of what the transformer computes: 4 in float32, 2 in 16 bits. */
  readonly bytesPerValue: number;
  /** T5's tokens, which the transformer sees beside those of the picture. */
  readonly textTokens: number;
  /** Largest joined sequence that the model was made for, in tokens of 16x16 pixels. */
  readonly maxSequence: number;
}

export interface MemoryPlan {
  readonly form: WeightForm;
  /** The text encoders are freed before the transformer is loaded, at each new instruction, instead of staying beside it. */
  readonly inTurn: boolean;
  /** Joined tokens that fit; may be more than the model was made for. */
  readonly fittingSequence: number;
  /** Side of an autoencoder's tile in pixels of the latent. */
  readonly tileSide: number;
  /** The most that is expected to be taken at a time, at the model's own sequence or what fits of it. */
  readonly bytes: number;
}

/** CUDA's context, what cuBLAS and cuDNN work in, and what the screen takes meanwhile. */
const overhead = 1.1e9;
/** 512x512 pixels: below this FLUX gives nothing that is worth waiting for. */
const leastSequence = 1024;

// What networks compute in, counted from what ONNX Runtime's CUDA provider asks a GPU for (`npm run measure:cuda`).

/** Rows of hiddenSize D that are alive at a token in the middle of a single block: x, its norm, q, k, v and what of them is rotated, the MLP's 4 D twice, and both joined. */
const rowsPerToken = 20;
/** The largest layer, 5 D -> D, as it is multiplied with: cast, or made of fewer bits. */
const layerRows = 5;
/** T5-XXL: the matrices of an MLP in float32, and the scores of 512 tokens. */
const t5Activations = 600e6;
/** CLIP-L: the same for its 77 tokens. */
const clipActivations = 30e6;
/** Float32, as the autoencoder is computed in, that are alive at a pixel of the picture: maps of 256 channels, and what a convolution unrolls. */
const valuesPerPixel = { whole: 1050, tile: 1500 };
const tileSides = [128, 64, 32] as const;

/**
 * The best form that fits: all weights beside each other if possible, then text encoders and transformer in turn, then smaller
 * tiles, then fewer bits; fewer tokens only where nothing else is left.
 * @param free bytes of the device
 * @param forms the best first
 * @throws CodedError `out-of-memory`
 */
export function planMemory(free: number, forms: readonly WeightForm[], sizes: ActivationSizes): MemoryPlan {
  const budget = free - overhead;
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
  const computing = computingWithin(way.form.transformer, budget - bytesBeside(way));
  const ofTokens = computing - transformerActivations(sizes, 0);
  const fits = encoderBytes(way.form) <= budget;
  const fittingSequence = fits ? Math.max(0, Math.floor(ofTokens / bytesPerToken(sizes))) : 0;
  const bytes = bytesOf(way, sizes, Math.min(fittingSequence, sizes.maxSequence));
  return { ...way, fittingSequence, bytes };
}

/** While a step is previewed, transformer and decoder have their memory at the same time. */
function bytesOf(way: Way, sizes: ActivationSizes, sequence: number): number {
  const { transformer } = way.form;
  const denoising = bytesBeside(way) + sessionBytes(transformer, transformerActivations(sizes, sequence));
  return Math.max(denoising, encoderBytes(way.form));
}

/** Everything that is there beside the transformer. */
function bytesBeside({ form, inTurn, tileSide }: Way): number {
  const decoder = sessionBytes(form.vae, vaeActivations(tileSide));
  return inTurn ? decoder : decoder + encoderBytes(form);
}

function encoderBytes({ t5, clip }: WeightForm): number {
  return sessionBytes(t5, t5Activations) + sessionBytes(clip, clipActivations);
}

/** @param sequence joined tokens of references and target */
export function transformerActivations(sizes: ActivationSizes, sequence: number): number {
  const { hiddenSize, textTokens, bytesPerValue } = sizes;
  return bytesPerToken(sizes) * (sequence + textTokens) + bytesPerValue * layerRows * hiddenSize ** 2;
}

function bytesPerToken({ hiddenSize, bytesPerValue }: ActivationSizes): number {
  return bytesPerValue * rowsPerToken * hiddenSize;
}

export function vaeActivations(tileSide: number): number {
  const values = tileSide === tileSides[0] ? valuesPerPixel.whole : valuesPerPixel.tile;
  return 4 * values * (8 * tileSide) ** 2;
}

function tooLarge(free: number, needed: number, form: WeightForm): CodedError {
  const made = /-4bit$/.test(form.id);
  const base = form.id.replace(/-[48]bit$/, '');
  return new CodedError('out-of-memory', {
    detail: `The model "${form.id}" takes at least ${gigabytes(needed)} of memory, and ${gigabytes(free)} are free on this device.`,
    remedy: made
      ? 'Close what else uses the GPU, or choose the model "pocket".'
      : `Make it smaller once with "acepp quantize --model ${base} --bits 4", or choose the model "pocket".`,
  });
}

/** `11.2 GB` */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
