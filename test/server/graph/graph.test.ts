import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Graph } from '../../../server/graph/graph.ts';
import { openLength } from '../../../server/graph/value.ts';
import { availableProviders, Session } from '../../../server/runtime/session.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { Provider } from '../../../shared/protocol/provider.ts';

const options = { provider: 'cpu', copiesWeights: false } as const;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-graph-'));
});
afterAll(() => rm(folder, { recursive: true }));

function thrownBy(action: () => unknown): CodedError {
  try {
    action();
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a graph', () => {
  it('computes with a weight at an unaligned file offset', async () => {
    const file = path.join(folder, 'weight.bin');
    // One byte, then [[1, 2], [3, 4], [5, 6]].
    await writeFile(
      file,
      Buffer.concat([Buffer.of(99), Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)]),
    );
    const graph = Graph.create('odd');
    const x = graph.input('x', 'float32', [1, 2]);
    const weight = graph.weight('w', 'float32', [3, 2], { file, offset: 1, length: 24 });
    graph.output('y', graph.linear(x, weight, graph.floats([0.5, 0, -0.5])));
    const session = await Session.open(graph.finish(), options);
    expect(await session.run({ x: Float32Array.of(1, 10) }, 'y')).toEqual({
      y: Float32Array.of(21.5, 43, 64.5),
    });
    await session.release();
  });

  it('rejects mismatched shapes with operator, scoped name and both shapes', () => {
    const graph = Graph.create('transformer');
    const x = graph.input('x', 'float32', [4, 8]);
    const weight = graph.weight('double_blocks.3.img_mlp.0.weight', 'float32', [6, 7], {
      file: '/weights',
      offset: 0,
      length: 168,
    });
    const error = thrownBy(() => graph.at('double_blocks.3').at('img_mlp.0').linear(x, weight, undefined));
    expect(error.code).toBe('model-file-invalid');
    expect(error.detail).toBe(
      'The graph "transformer" cannot be built: Gemm (double_blocks.3.img_mlp.0, double_blocks.3.img_mlp.0.weight, in /weights) got float32 [4, 8] and float32 [6, 7].',
    );
  });

  it.each<[string, (graph: Graph) => unknown]>([
    ['Add', (g) => g.plus(g.floats([1, 2]), g.floats([1, 2, 3]))],
    ['Add', (g) => g.plus(g.floats([1]), g.integers([1]))],
    ['Reshape', (g) => g.reshape(g.floats([1, 2]), [3])],
    ['Constant', (g) => g.split(g.floats([1, 2, 3]), 0, [1.5, 1.5])],
    ['Transpose', (g) => g.transpose(g.floats([1, 2]), [1, 0])],
    ['Concat', (g) => g.concat(0, [g.floats([1], [1, 1]), g.floats([1, 2], [1, 2])])],
    ['Split', (g) => g.split(g.floats([1, 2]), 0, [1, 2])],
    ['Slice', (g) => g.rows(g.floats([1, 2]), 1, 2)],
    ['Gather', (g) => g.gather(g.floats([1, 2]), g.floats([0]))],
    ['LayerNormalization', (g) => g.layerNorm(g.floats([1, 2]), g.floats([1]), undefined, 1e-6)],
    [
      'Conv',
      (g) => g.convolution(g.floats([1], [1, 1, 1, 1]), g.floats([1, 2], [1, 2, 1, 1]), g.floats([0])),
    ],
    ['Weight', (g) => g.weight('w', 'float16', [3], { file: '/weights', offset: 0, length: 12 })],
  ])('rejects wrong inputs of %s', (op, build) => {
    expect(thrownBy(() => build(Graph.create('wrong'))).detail).toContain(`${op} `);
  });

  it('rejects an input of another size than it was built for', async () => {
    const graph = Graph.create('sizes');
    graph.output('y', graph.silu(graph.input('x', 'float32', [2])));
    const session = await Session.open(graph.finish(), options);
    await expect(session.run({ x: new Float32Array(3) }, 'y')).rejects.toThrow(
      '"x" is float32 [2], but has 3',
    );
    await session.release();
  });
});

describe('a graph with a dynamic length', () => {
  /** Doubles [2 + length, 3], and splits it again. */
  const open = async () => {
    const graph = Graph.create('open');
    const [head, tail] = [
      graph.input('head', 'float32', [2, 3]),
      graph.input('tail', 'float32', [openLength, 3]),
    ];
    const joined = graph.concat(0, [head, tail]);
    const flat = graph.reshape(graph.reshape(joined, [1, 2 + openLength, 3]), [2 + openLength, 3]);
    const [, last] = graph.split(graph.plus(flat, joined), 0, [2, openLength]);
    graph.output('last', last!);
    return Session.open(graph.finish(), options);
  };

  it('serves every length in one session', async () => {
    const session = await open();
    for (const length of [1, 4]) {
      const tail = Float32Array.from({ length: 3 * length }, (_, i) => i);
      const { last } = await session.run({ head: new Float32Array(6).fill(9), tail }, 'last');
      expect(last).toEqual(tail.map((value) => 2 * value));
    }
    await session.release();
  });

  it('rejects an invalid length, and inputs of two lengths', async () => {
    const session = await open();
    await expect(
      session.run({ head: new Float32Array(6), tail: new Float32Array(7) }, 'last'),
    ).rejects.toThrow('input "tail" is float32 [length, 3] with a length of 2, but has 7 elements');
    await session.release();

    const graph = Graph.create('two');
    const [a, b] = [graph.input('a', 'float32', [openLength]), graph.input('b', 'float32', [2 + openLength])];
    graph.output('y', graph.concat(0, [a, b]));
    const other = await Session.open(graph.finish(), options);
    await expect(other.run({ a: new Float32Array(3), b: new Float32Array(6) }, 'y')).rejects.toThrow(
      'input "b" is float32 [2 + length] with a length of 3, but has 6 elements',
    );
    await other.release();
  });
});

describe('a provider', () => {
  it('is detected', async () => {
    expect(await availableProviders()).toContain('cpu');
  });

  it('that cannot be loaded is reported, without falling back to another', async () => {
    const graph = Graph.create('provider');
    graph.output('y', graph.silu(graph.input('x', 'float32', [2])));
    const known = await availableProviders();
    // DirectML is on Windows only, and CUDA is not in what npm installs.
    const missing: Provider = known.includes('dml') ? 'cuda' : 'dml';
    await expect(Session.open(graph.finish(), { ...options, provider: missing })).rejects.toMatchObject({
      code: 'provider-unavailable',
      detail: expect.stringContaining(`"${missing}"`),
    });
  });
});
