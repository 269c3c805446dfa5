/**
 * Plans how much of a device's memory an edit may use, from sizes alone, before anything is loaded. It
 * computes nothing and queries no device, so that tests can try every GPU.
 */
import { CodedError } from '../../shared/errors.ts';
import { computingWithin, type GPUWeights, sessionBytes } from './cuda-memory.ts';

/** A model in one of its precisions, with the weights as stored on a GPU. */
export interface WeightForm {
  /** Id in the catalogue: `flux-fill`, `flux-fill-8bit`. */
  readonly id: string;
  readonly transformer: GPUWeights;
  readonly t5: GPUWeights;
  readonly clip: GPUWeights;
  readonly vae: GPUWeights;
}

export interface ActivationSizes {
  /** Hidden size D of the transformer: 3072 in FLUX.1. */
  readonly hiddenSize: number;
  /** For the transformer's activations: 4 in float32, 2 in 16 bits. */
  readonly bytesPerValue: number;
  /** T5's tokens, which the transformer sees in addition to the picture's. */
  readonly textTokens: number;
  /** Largest joined sequence the model was made for, in tokens of 16x16 pixels. */
  readonly maxSequence: number;
}

export interface MemoryPlan {
  readonly form: WeightForm;
  /**
   * Text encoders are freed before the transformer is loaded, for each new instruction, instead of staying
   * loaded.
   */
  readonly inTurn: boolean;
  /** Joined tokens that fit; may exceed what the model was made for. */
  readonly fittingSequence: number;
  /** Side of a VAE tile, in latent pixels. */
  readonly tileSide: number;
  /** Expected peak, at the model's own sequence or as much of it as fits. */
  readonly bytes: number;
}

/** The CUDA context, the workspaces of cuBLAS and cuDNN, and what the display uses. */
const overhead = 1.1e9;
/** 512x512 pixels: below this FLUX's results aren't worth waiting for. */
const leastSequence = 1024;

// Activation memory, counted from what ONNX Runtime's CUDA provider requests from a GPU
// (`npm run measure:cuda`).

/**
 * Rows of hiddenSize D alive per token in the middle of a single block: x, its norm, q, k, v and their
 * rotated copies, the MLP's 4 D twice, and both joined.
 */
const rowsPerToken = 20;
/** The largest layer, 5 D -> D, in the form it is multiplied in: cast, or dequantized. */
const layerRows = 5;
/** T5-XXL: the matrices of an MLP in float32, and the scores of 512 tokens. */
const t5Activations = 600e6;
/** CLIP-L: the same for its 77 tokens. */
const clipActivations = 30e6;
/**
 * Float32 values, which the VAE computes in, alive per pixel of the picture: maps of 256 channels, and what a
 * convolution unrolls.
 */
const valuesPerPixel = { whole: 1050, tile: 1500 };
const tileSides = [128, 64, 32] as const;

/**
 * The best plan that fits: all weights loaded together if possible, then text encoders and transformer in
 * turn, then smaller tiles, then fewer bits; fewer tokens only as a last resort.
 * @param free bytes of the device
 * @param forms best first
 * @throws CodedError `out-of-memory`
 */
export function planMemory(free: number, forms: readonly WeightForm[], sizes: ActivationSizes): MemoryPlan {
  const budget = free - overhead;
  // Reloading the text encoders takes less time than decoding in tiles, which go through main memory.
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

/** While a step is previewed, transformer and decoder both hold their memory. */
function bytesOf(way: Way, sizes: ActivationSizes, sequence: number): number {
  const { transformer } = way.form;
  const denoising = bytesBeside(way) + sessionBytes(transformer, transformerActivations(sizes, sequence));
  return Math.max(denoising, encoderBytes(way.form));
}

/** Everything loaded besides the transformer. */
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
