/** The dtype of activations; all providers accumulate in float32. */
export const computeDTypes = ['float32', 'bfloat16', 'float16'] as const;
export type ComputeDType = (typeof computeDTypes)[number];

/**
 * How attention is built: as a single fused node, which providers compute fastest, or from matrix products and a softmax, for
 * providers that compute that node wrongly.
 */
export type AttentionForm = 'fused' | 'composed';

/** How a graph computes. Probing a provider shows which of these it supports and computes correctly. */
export interface Precision {
  readonly type: ComputeDType;
  readonly attention: AttentionForm;
}

/** What the CPU computes in, and what the comparison with the published implementations uses. */
export const float32: Precision = { type: 'float32', attention: 'fused' };
