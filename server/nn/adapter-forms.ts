/**
 * What adapters add to a layer, as graph nodes: x ΔW^T for each form of ΔW, without computing ΔW if that is
 * cheaper.
 */
import { type DeltaForm, formRows, type Matrix, type WeightChange } from '../checkpoints/lora/change.ts';
import { matrixShape } from '../checkpoints/tensor.ts';
import type { Graph } from '../graph/graph.ts';
import type { Value } from '../graph/value.ts';
import { adapterValues } from './stored-weights.ts';

/** Rows of a change. */
interface Rows {
  readonly from: number;
  readonly count: number;
}

/**
 * x ΔW^T + bias for some rows, including the change's own factor: [M, K] -> [M, count]
 * @param gain for DoRA over columns: x is multiplied by it first
 */
export function deltaProduct(graph: Graph, x: Value, change: WeightChange, rows: Rows): Value {
  const { columns, bias, factor } = change;
  const width = x.shape[1]!;
  const input = columns === undefined ? x : graph.split(x, 1, [columns, width - columns])[0]!;
  const product = formProduct(graph, input, formRows(change.form, rows.from, rows.count), rows.count);
  const shifted = bias ? graph.plus(product, slice(graph, adapterValues(graph, bias), rows)) : product;
  return factor === 1 ? shifted : graph.times(shifted, graph.floats([factor]));
}

/** ΔW including the change's own factor, for all of its rows: [rows, K] */
export function deltaWeight(graph: Graph, { form, factor, rows }: WeightChange): Value {
  const weight = formWeight(graph, form, rows);
  return factor === 1 ? weight : graph.times(weight, graph.floats([factor]));
}

function formProduct(graph: Graph, x: Value, form: DeltaForm, count: number): Value {
  switch (form.kind) {
    case 'low-rank':
      return graph.linear(
        graph.linear(x, adapterValues(graph, form.down), undefined),
        adapterValues(graph, form.up),
        undefined,
      );
    case 'hadamard': {
      const { up, down } = khatriRao(graph, form);
      const [rank = 0] = down.shape;
      // Two products with this many rows would cost more than one with ΔW.
      if (rank > Math.min(count, x.shape[1]!) / 2)
        return graph.linear(x, formWeight(graph, form, count), undefined);
      return graph.linear(graph.linear(x, down, undefined), up, undefined);
    }
    case 'kronecker':
      return graph.columns(kroneckerProduct(graph, x, form), form.from, count);
    case 'full':
      return graph.linear(x, adapterValues(graph, form.tensor), undefined);
  }
}

function formWeight(graph: Graph, form: DeltaForm, count: number): Value {
  switch (form.kind) {
    case 'low-rank':
      return matrixOf(graph, form);
    case 'hadamard': {
      const [first, second] = form.pairs;
      return graph.times(matrixOf(graph, first), matrixOf(graph, second));
    }
    case 'kronecker': {
      const [left, right] = [matrixOf(graph, form.left), matrixOf(graph, form.right)];
      const [a = 0, c = 0] = left.shape;
      const [b = 0, d = 0] = right.shape;
      const whole = graph.times(graph.reshape(left, [a, 1, c, 1]), graph.reshape(right, [1, b, 1, d])); // [a, b, c, d]
      return graph.rows(graph.reshape(whole, [a * b, c * d]), form.from, count);
    }
    case 'full':
      return adapterValues(graph, form.tensor);
  }
}

/**
 * (U1 D1) ∘ (U2 D2) as one product of rank r1 r2: the columns of U are all products of the columns of U1 and
 * U2, and likewise the rows of D.
 * @returns up [N, r1 r2], down [r1 r2, K]
 */
function khatriRao(graph: Graph, { pairs }: Extract<DeltaForm, { kind: 'hadamard' }>) {
  const [up1, up2] = pairs.map(({ up }) => adapterValues(graph, up));
  const [down1, down2] = pairs.map(({ down }) => adapterValues(graph, down));
  const [rows = 0, r1 = 0] = up1!.shape;
  const [r2 = 0, columns = 0] = down2!.shape;
  const up = graph.times(graph.reshape(up1!, [rows, r1, 1]), graph.reshape(up2!, [rows, 1, r2]));
  const down = graph.times(graph.reshape(down1!, [r1, 1, columns]), graph.reshape(down2!, [1, r2, columns]));
  return { up: graph.reshape(up, [rows, r1 * r2]), down: graph.reshape(down, [r1 * r2, columns]) };
}

/** x (L ⊗ R)^T with L [a, c] and R [b, d], first over d and then over c: [M, c d] -> [M, a b] */
function kroneckerProduct(
  graph: Graph,
  x: Value,
  { left, right }: Extract<DeltaForm, { kind: 'kronecker' }>,
): Value {
  const [a, c] = shapeOf(left);
  const [b, d] = shapeOf(right);
  const [tokens = 0] = x.shape;
  const inner = times(graph, graph.reshape(x, [tokens * c, d]), right); // [M c, b]
  const turned = graph.transpose(graph.reshape(inner, [tokens, c, b]), [0, 2, 1]); // [M, b, c]
  const outer = times(graph, graph.reshape(turned, [tokens * b, c]), left); // [M b, a]
  return graph.reshape(graph.transpose(graph.reshape(outer, [tokens, b, a]), [0, 2, 1]), [tokens, a * b]);
}

/** x W^T */
function times(graph: Graph, x: Value, matrix: Matrix): Value {
  if ('whole' in matrix) return graph.linear(x, adapterValues(graph, matrix.whole), undefined);
  const reduced = graph.linear(x, adapterValues(graph, matrix.down), undefined);
  return graph.linear(reduced, adapterValues(graph, matrix.up), undefined);
}

function shapeOf(matrix: Matrix): readonly [number, number] {
  if ('whole' in matrix) return matrixShape(matrix.whole);
  return [matrixShape(matrix.up)[0], matrixShape(matrix.down)[1]];
}

function matrixOf(graph: Graph, matrix: Matrix): Value {
  if ('whole' in matrix) return adapterValues(graph, matrix.whole);
  const down = adapterValues(graph, matrix.down);
  return graph.linear(adapterValues(graph, matrix.up), graph.transpose(down, [1, 0]), undefined);
}

function slice(graph: Graph, vector: Value, { from, count }: Rows): Value {
  return from === 0 && count === vector.shape[0] ? vector : graph.rows(vector, from, count);
}
