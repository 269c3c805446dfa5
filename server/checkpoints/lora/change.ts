/**
 * What an adapter changes in a layer. Nothing is merged: every form is computed alongside the layer, so that
 * the adapter's strength is an input of the graph, and layers in 4 or 8 bits can be adapted like any other.
 */
import { rowsOf, type StoredTensor } from '../tensor.ts';

/** A matrix [N, K], stored whole or as the product of [N, rank] and [rank, K]. */
export type Matrix =
  | { readonly whole: StoredTensor }
  | { readonly up: StoredTensor; readonly down: StoredTensor };

/** The form of ΔW, [N, K]. */
export type DeltaForm =
  /** LoRA: up · down. */
  | { readonly kind: 'low-rank'; readonly up: StoredTensor; readonly down: StoredTensor }
  /** LoHa: the elementwise product of two low-rank products. */
  | { readonly kind: 'hadamard'; readonly pairs: readonly [LowRankPair, LowRankPair] }
  /** LoKr: left ⊗ right; the layer's rows start at its row `from`. */
  | { readonly kind: 'kronecker'; readonly left: Matrix; readonly right: Matrix; readonly from: number }
  /** ΔW itself. */
  | { readonly kind: 'full'; readonly tensor: StoredTensor };

export interface LowRankPair {
  readonly up: StoredTensor;
  readonly down: StoredTensor;
}

/** DoRA: the adapted weight is scaled so that its rows (or columns) have these norms. */
export interface Magnitude {
  readonly axis: 'rows' | 'columns';
  readonly values: Float32Array;
}

interface Place {
  /** The first row of the layer that it changes. */
  readonly begin: number;
  readonly rows: number;
}

/** Adds `strength * factor * ΔW x`, and `strength * factor * bias`. */
export interface WeightChange extends Place {
  readonly kind: 'weight';
  readonly form: DeltaForm;
  readonly factor: number;
  /** Columns of ΔW, if it only takes the first ones of the layer's input. */
  readonly columns?: number;
  /** [rows] */
  readonly bias?: StoredTensor;
  readonly magnitude?: Magnitude;
  /**
   * The factor that `magnitude` gives rows or columns: magnitude / norm of the adapted weight. Known once the
   * base is read.
   */
  readonly gain?: Float32Array;
}

/** Adds `strength * tensor` to a bias or to a norm's scale. */
export interface Addition extends Place {
  readonly kind: 'addition';
  readonly tensor: StoredTensor;
}

/** Replaces rows of a tensor: fully at strength 1, not at all at strength 0. */
export interface Replacement extends Place {
  readonly kind: 'replacement';
  readonly tensor: StoredTensor;
}

export type Change = WeightChange | Addition | Replacement;

/** By black-forest-labs' tensor names, or a text encoder's own. */
export type Changes = ReadonlyMap<string, readonly Change[]>;

/** A form's rows, starting at `from`. */
export function formRows(form: DeltaForm, from: number, count: number): DeltaForm {
  switch (form.kind) {
    case 'low-rank':
      return { ...form, up: rowsOf(form.up, from, count) };
    case 'hadamard': {
      const [first, second] = form.pairs.map((pair) => ({ ...pair, up: rowsOf(pair.up, from, count) }));
      return { ...form, pairs: [first!, second!] };
    }
    case 'kronecker':
      return { ...form, from: form.from + from };
    case 'full':
      return { ...form, tensor: rowsOf(form.tensor, from, count) };
  }
}

/** The rows of a change that fall in a range of the layer's rows; undefined if there are none. */
export function rowsWithin(
  { begin, rows }: Place,
  range: { readonly begin: number; readonly count: number },
): { readonly from: number; readonly count: number } | undefined {
  if (begin >= range.begin + range.count || begin + rows <= range.begin) return undefined;
  if (begin <= range.begin && begin + rows >= range.begin + range.count) {
    return { from: range.begin - begin, count: range.count };
  }
  throw new Error(
    `rows ${begin} to ${begin + rows} do not cover ${range.begin} to ${range.begin + range.count}`,
  );
}
