/**
 * What an adapter changes of a layer. Nothing is merged: every form is computed beside the layer, so that the adapter's strength is
 * an input of the graph, and layers in 4 or 8 bits are adapted as well as others.
 */
import { rowsOf, type StoredTensor } from '../tensor.ts';

/** A matrix [N, K], as it is or as the product of [N, rank] and [rank, K]. */
export type Matrix =
  | { readonly whole: StoredTensor }
  | { readonly up: StoredTensor; readonly down: StoredTensor };

/** How ΔW, [N, K], is given. */
export type DeltaForm =
  /** LoRA: up · down. */
  | { readonly kind: 'low-rank'; readonly up: StoredTensor; readonly down: StoredTensor }
  /** LoHa: the elementwise product of two pairs' products. */
  | { readonly kind: 'hadamard'; readonly pairs: readonly [LowRankPair, LowRankPair] }
  /** LoKr: left ⊗ right, of which `from`... are the rows of the layer. */
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
  /** Columns of ΔW, where it takes only the first ones of the layer's input. */
  readonly columns?: number;
  /** [rows] */
  readonly bias?: StoredTensor;
  readonly magnitude?: Magnitude;
  /** What `magnitude` makes of rows or columns: magnitude / norm of the adapted weight. Known once the base was read. */
  readonly gain?: Float32Array;
}

/** Adds `strength * tensor` to a bias or to the scale of a norm. */
export interface Addition extends Place {
  readonly kind: 'addition';
  readonly tensor: StoredTensor;
}

/** Takes the place of rows of a tensor at strength 1, and of none of them at strength 0. */
export interface Replacement extends Place {
  readonly kind: 'replacement';
  readonly tensor: StoredTensor;
}

export type Change = WeightChange | Addition | Replacement;

/** By black-forest-labs' names of the tensors, or a text encoder's own. */
export type Changes = ReadonlyMap<string, readonly Change[]>;

/** A form's rows `from`... */
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

/** Which rows of a change a range of the layer's rows takes; undefined where it takes none. */
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
