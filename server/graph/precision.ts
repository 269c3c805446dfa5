/** What the values between weights and results are rounded to; sums are taken in float32 by all providers. */
export const computeDTypes = ['float32', 'bfloat16', 'float16'] as const;
export type ComputeDType = (typeof computeDTypes)[number];

/**
 * How attention is written: as the one node that providers compute best, or as products and a softmax, for providers that
 * compute that node wrongly.
 */
export type AttentionForm = 'fused' | 'composed';

/** How a graph computes; which of these a provider can, and does rightly, shows when it is tried. */
export interface Precision {
  readonly type: ComputeDType;
  readonly attention: AttentionForm;
}

/** What the CPU computes, and the published implementations are compared in. */
export const float32: Precision = { type: 'float32', attention: 'fused' };
