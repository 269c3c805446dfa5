import { fork } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, open, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fluxTensors, writeWeights } from '../../../bench/weights.ts';
import { asFloats } from '../../../server/checkpoints/numbers.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { Graph } from '../../../server/graph/graph.ts';
import { Layers } from '../../../server/nn/layers.ts';
import { quantizeFile } from '../../../server/quantize/quantize.ts';
import { quantizedFile } from '../../../server/quantize/quantized-cache.ts';
import { dequantizeRows, quantizeRows } from '../../../server/quantize/rounding.ts';
import { Session } from '../../../server/runtime/session.ts';
import { randn } from '../../../server/sampling/noise.ts';
import { bytesOf, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { relativeError } from '../models/arrays.ts';

let folder = '';
let source = '';
const rows = 96;
const columns = 192;
const weight = randn(5, rows * columns);
const layer = 'double_blocks.0.img_mlp.0';

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-quantize-'));
  source = path.join(folder, 'transformer.safetensors');
  const floats = (data: Float32Array, shape: number[]): Tensor => ({
    dtype: 'F32',
    shape,
    data: bytesOf(data),
  });
  const tensors = new Map<string, Tensor>();
  for (const block of [0, 1, 2]) {
    tensors.set(`double_blocks.${block}.img_mlp.0.weight`, floats(weight, [rows, columns]));
    tensors.set(`double_blocks.${block}.img_mlp.0.bias`, floats(randn(6, rows), [rows]));
  }
  tensors.set('img_in.weight', floats(weight, [rows, columns]));
  tensors.set('shared.weight', floats(weight, [rows, columns]));
  await writeFile(source, encodeContainer({ tensors, metadata: { kept: 'yes' } }));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('quantization', () => {
  test('an error at 4 bits is lower when fitted than by the nearest, for normal and for heavy-tailed weights', () => {
    const heavy = weight.map((x, i) => x * Math.exp(weight[(i * 7 + 3) % weight.length]!));
    for (const weights of [weight, heavy]) {
      const error = (rounding: 'fitted' | 'nearest') =>
        relativeError(dequantizeRows(quantizeRows(weights, columns, 4, rounding), columns), weights);
      expect(error('fitted')).toBeLessThan(0.985 * error('nearest'));
      expect(error('fitted')).toBeLessThan(0.15);
    }
  });

  test('8 bits are off by at most half a step', () => {
    const rounded = quantizeRows(weight, columns, 8);
    const values = dequantizeRows(rounded, columns);
    for (const [i, value] of values.entries()) {
      const step = rounded.scales[Math.floor(i / 64)]!;
      expect(Math.abs(value - weight[i]!)).toBeLessThanOrEqual(0.501 * step);
    }
  });

  test.each([4, 8] as const)('zeros stay zeros in %i bits', (bits) => {
    expect(dequantizeRows(quantizeRows(new Float32Array(128), 64, bits), 64)).toEqual(new Float32Array(128));
  });

  test('float16 and bfloat16 are read correctly', () => {
    // 1, -2, the smallest positive, 65504; and 1, -2, 3.0
    expect([...asFloats(bytesOf(Uint16Array.of(0x3c00, 0xc000, 1, 0x7bff)), 'F16')]).toEqual([
      1,
      -2,
      2 ** -24,
      65504,
    ]);
    expect([...asFloats(bytesOf(Uint16Array.of(0x3f80, 0xc000, 0x4040)), 'BF16')]).toEqual([1, -2, 3]);
  });
});

describe.each([4, 8] as const)('a file in %i bits', (bits) => {
  test('computes with the dequantized weights, also for a slice of the rows', async () => {
    const target = path.join(folder, `computes.${bits}.safetensors`);
    await quantizeFile(source, target, bits);
    const file = await WeightsFile.open(target);
    const graph = Graph.create('layer');
    const x = graph.input('x', 'float32', [4, columns]);
    const [first, second] = new Layers(graph, file).linears(layer, x, [32, 64]);
    graph.output('first', first!);
    graph.output('second', second!);
    const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: false });
    const input = randn(9, 4 * columns);
    const results = await session.run({ x: input }, 'first', 'second');
    await session.release();
    const values = dequantizeRows(quantizeRows(weight, columns, bits), columns);
    const bias = randn(6, rows);
    const product = (begin: number, count: number) =>
      Float32Array.from({ length: 4 * count }, (_, i) => {
        const [m, n] = [Math.floor(i / count), begin + (i % count)];
        let sum = bias[n]!;
        for (let k = 0; k < columns; k++) sum += input[m * columns + k]! * values[n * columns + k]!;
        return sum;
      });
    // The kernel rounds activations to 8 bits: 0.007.
    expect(relativeError(results.first, product(0, 32))).toBeLessThan(0.01);
    expect(relativeError(results.second, product(32, 64))).toBeLessThan(0.01);
  });

  test('keeps tables, biases and metadata unchanged, and layers outside the blocks in 8 bits', async () => {
    const target = path.join(folder, `keeps.${bits}.safetensors`);
    await quantizeFile(source, target, bits);
    const file = await WeightsFile.open(target);
    expect(file.metadata).toMatchObject({ kept: 'yes' });
    expect(file.get('shared.weight')).toMatchObject({ dtype: 'F32', shape: [rows, columns] });
    expect(file.get('img_in.weight')).toMatchObject({ dtype: 'U8', shape: [rows, 3, 64] });
    expect(file.get(`${layer}.weight`)).toMatchObject({ dtype: 'U8', shape: [rows, 3, 8 * bits] });
    const { offset, length } = file.get(`${layer}.bias`).data;
    const bytes = (await readFile(target)).subarray(offset, offset + length);
    expect(Buffer.compare(bytes, bytesOf(randn(6, rows)))).toBe(0);
  });

  test('ends in the same bytes wherever the previous run was interrupted', async () => {
    const whole = path.join(folder, `whole.${bits}.safetensors`);
    await quantizeFile(source, whole, bits);
    const wanted = await readFile(whole);
    for (const share of [0, 0.001, 0.1, 0.35, 0.62, 0.999, 1]) {
      const target = path.join(folder, `ended.${bits}.${share}.safetensors`);
      const kept = wanted.subarray(0, Math.floor(wanted.length * share));
      await writeFile(`${target}.partial`, kept);
      await quantizeFile(source, target, bits);
      expect(Buffer.compare(await readFile(target), wanted)).toBe(0);
      await expect(access(`${target}.partial`)).rejects.toMatchObject({ code: 'ENOENT' });
    }
  });
});

test('a process that is killed again and again ends in the same bytes', async () => {
  const large = path.join(folder, 'large.safetensors');
  writeWeights(large, fluxTensors({ width: 512, double: 1, single: 1 }), 'BF16', 'random');
  const whole = path.join(folder, 'large.whole.safetensors');
  await quantizeFile(large, whole, 4);
  const wanted = await readFile(whole);
  const target = path.join(folder, 'large.killed.safetensors');
  const script = path.join(import.meta.dirname, 'measure-quantize.ts');
  const sizeOf = (file: string) =>
    stat(file).then(
      ({ size }) => size,
      () => 0,
    );
  const reached: number[] = [];
  for (const share of [0.1, 0.3, 0.5, 0.7, 0.9]) {
    const child = fork(script, ['--child', large, target, '4'], { execArgv: ['--import', 'tsx'] });
    const ended = once(child, 'exit');
    while ((await sizeOf(`${target}.partial`)) < share * wanted.length && child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    child.kill('SIGKILL');
    const [, signal] = await ended;
    // It may have finished first.
    if (signal === null) break;
    reached.push(await sizeOf(`${target}.partial`));
    await expect(access(target)).rejects.toMatchObject({ code: 'ENOENT' });
  }
  expect(reached.length).toBeGreaterThan(0);
  expect(reached).toEqual([...reached].sort((a, b) => a - b));
  await quantizeFile(large, target, 4);
  expect(Buffer.compare(await readFile(target), wanted)).toBe(0);
});

test('an interrupted run’s finished part is not computed again', async () => {
  const target = path.join(folder, 'again.safetensors');
  const controller = new AbortController();
  const cancelled = quantizeFile(source, target, 4, {
    signal: controller.signal,
    onProgress: (written, total) => written > 0.6 * total && controller.abort(),
  });
  await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
  await expect(access(target)).rejects.toMatchObject({ code: 'ENOENT' });
  const seen: number[] = [];
  await quantizeFile(source, target, 4, { onProgress: (written, total) => seen.push(written / total) });
  expect(seen[0]).toBeGreaterThan(0.4);
  expect(seen.at(-1)).toBe(1);
});

test('an existing file is left alone', async () => {
  const target = path.join(folder, 'there.safetensors');
  await writeFile(target, 'as it is');
  await quantizeFile(source, target, 4);
  expect(await readFile(target, 'utf8')).toBe('as it is');
});

test('a partial file of other weights is not resumed', async () => {
  const target = path.join(folder, 'other.safetensors');
  await writeFile(`${target}.partial`, new Uint8Array(20_000));
  await quantizeFile(source, target, 8);
  expect((await WeightsFile.open(target)).has(`${layer}.weight`)).toBe(true);
});

test('a NaN weight is rejected by name', async () => {
  const broken = path.join(folder, 'broken.safetensors');
  const data = new Float32Array(64).fill(Number.NaN);
  const tensors = new Map([
    ['single_blocks.0.linear1.weight', { dtype: 'F32', shape: [1, 64], data: bytesOf(data) } as const],
  ]);
  await writeFile(broken, encodeContainer({ tensors, metadata: {} }));
  await expect(quantizeFile(broken, path.join(folder, 'never'), 4)).rejects.toMatchObject({
    code: 'model-file-invalid',
    detail: expect.stringContaining('single_blocks.0.linear1.weight'),
  });
});

test('the cache knows its source by header, size and time', async () => {
  const copy = path.join(folder, 'copies', 'transformer.safetensors');
  await mkdir(path.dirname(copy), { recursive: true });
  await writeFile(copy, await readFile(source));
  await utimes(copy, 1000, 1000);
  const first = await quantizedFile(copy, 4);
  expect(await quantizedFile(copy, 4)).toBe(first);
  expect(await quantizedFile(copy, 8)).not.toBe(first);
  await utimes(copy, 1000, 2000);
  expect(await quantizedFile(copy, 4)).not.toBe(first);
  await utimes(copy, 1000, 1000);
  expect(await quantizedFile(copy, 4)).toBe(first);
  const handle = await open(copy, 'r+');
  const header = (await readFile(copy)).indexOf('img_in');
  await handle.write('IMG_in', header);
  await handle.close();
  await utimes(copy, 1000, 1000);
  expect(await quantizedFile(copy, 4)).not.toBe(first);
});
