import type { ModelFamily } from '../../shared/conventions.ts';
import type { Provider } from '../../shared/protocol/provider.ts';
import type { FirstBlockCache } from '../sampling/first-block-cache.ts';

/**
 * What the pipeline needs from a model: the four networks of ACE++ with their weights loaded, however they
 * run. All arrays are float32. Do not write to returned arrays: they may be cached.
 */
export interface Networks {
  readonly spec: ModelSpec;
  /** The execution provider that runs them. */
  readonly provider: Provider;
  /**
   * T5 sequence [textTokens, contextSize] and CLIP's pooled vector [pooledSize] of one instruction.
   * @param adapters those of the edit; some change the text encoders
   */
  encodePrompt(instruction: string, adapters?: readonly AdapterScale[]): Promise<PromptEmbeddings>;
  /**
   * Image in [-1,1], planar [3, height, width] (multiples of 16) -> latent [16, height/8, width/8], shifted
   * and scaled.
   */
  vaeEncode(image: PlanarImage): Promise<Latent>;
  /** The inverse of `vaeEncode`; values are not clipped. */
  vaeDecode(latent: Latent): Promise<PlanarImage>;
  /** Names of the adapters installed for the model. */
  listAdapters(): Promise<readonly string[]>;
  /** By adapter name, the steps and guidance that it was made for. */
  adapterDefaults(): Promise<Readonly<Record<string, AdapterDefaults>>>;
  /**
   * Reads the model's adapters, so that an invalid one is reported before anything is computed.
   * @returns notes for the user
   * @throws CodedError `adapter-unknown`, `adapter-invalid`
   */
  openAdapters(names: readonly string[]): Promise<readonly string[]>;
  /**
   * Multiplications and additions in one evaluation of the transformer, for a joined sequence of this many
   * tokens.
   */
  stepOperations(tokens: number): number;
  /** One evaluation of the transformer: the velocity of every token, [tokens, 64]. */
  velocity(step: TransformerStep): Promise<Float32Array>;
  /** Frees all sessions. */
  release(): Promise<void>;
}

/**
 * Columns of `img_in`, depending on what a token holds: noise, edit image and mask, and for the fully
 * fine-tuned ACE++ also the change image.
 */
export const inChannels = { inpaint: 384, fft: 448 } as const;
export type InChannels = (typeof inChannels)[keyof typeof inChannels];

export interface ModelSpec {
  readonly id: string;
  /** Determines how an edit is presented to the model. */
  readonly family: ModelFamily;
  readonly inChannels: InChannels;
  /**
   * Longest joined sequence (references and target) that the model was made for, in tokens of 16x16 pixels.
   */
  readonly maxSequence: number;
  /** Tokens that fit into the device's memory, whatever a request asks for; absent if unknown. */
  readonly fittingSequence?: number;
}

export interface PromptEmbeddings {
  readonly text: Float32Array;
  readonly textTokens: number;
  readonly pooled: Float32Array;
}

export interface PlanarImage {
  /** [3, height, width] */
  readonly data: Float32Array;
  readonly width: number;
  readonly height: number;
}

export interface Latent {
  /** [channels, height, width] */
  readonly data: Float32Array;
  readonly channels: number;
  readonly width: number;
  readonly height: number;
}

export interface TransformerStep {
  /** Packed noise and condition, [rows*columns, inChannels]. */
  readonly input: Float32Array;
  /** Size of the joined grid in tokens; position ids are (0, row, column). */
  readonly rows: number;
  readonly columns: number;
  readonly conditioning: PromptEmbeddings;
  /** Sigma in [0, 1]. */
  readonly sigma: number;
  /** FLUX's distilled guidance scalar. */
  readonly guidance: number;
  /** A different set needs a different session; a different scale does not. */
  readonly adapters?: readonly AdapterScale[];
  /** The cache of one denoising run, from its first step on. */
  readonly cache?: FirstBlockCache;
}

/** Steps and guidance that an adapter was made for, such as one distilled to a few steps. */
export interface AdapterDefaults {
  readonly steps?: number | undefined;
  readonly guidance?: number | undefined;
}

/** An adapter and its scale: 0 turns it off, 1 is as trained. */
export interface AdapterScale {
  readonly name: string;
  readonly scale: number;
}
