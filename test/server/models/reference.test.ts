import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import type { ComputeDType } from '../../../server/graph/precision.ts';
import { buildFlux } from '../../../server/models/flux.ts';
import { adapterStore } from '../../../server/runtime/adapters.ts';
import { Session } from '../../../server/runtime/session.ts';
import { compareLine } from '../../reference/compare.ts';
import { readLines } from '../../reference/lines.ts';
import { compare, withinAbsolute, withinRelative } from '../../reference/measure.ts';
import { arraysFolder } from './arrays.ts';

const lines = readLines(arraysFolder);

describe('the build is compared with everything published', () => {
  it('networks, tokenizers, formulas, and an edit from end to end', () => {
    expect([...new Set(lines.map(({ kind }) => kind))].sort()).toEqual(
      [
        'autoencoder',
        'blocks',
        'cache',
        'clean',
        'clip',
        'edit',
        'flux',
        'noise',
        'schedule',
        't5',
        'tokenizer',
        'units',
      ].sort(),
    );
    const flux = lines.filter(({ kind }) => kind === 'flux').map(({ configuration }) => configuration);
    for (const part of ['384', '448', 'guidance off', 'black-forest-labs', 'diffusers', 'shards', 'float8']) {
      expect(flux.filter((configuration) => configuration.includes(part))).not.toEqual([]);
    }
  });

  it('also in float16 where values go beyond its range, which the published code clamps', () => {
    const beyond = lines.filter(({ configuration }) => /float16, values up to \d{6}/.test(configuration));
    expect(beyond.map(({ kind }) => kind).sort()).toEqual(['flux', 't5']);
  });
});

describe('our networks compute what the published implementation computes', () => {
  it.each(
    lines.map((line) => [line.title, line.configuration, line] as const),
  )('%s: %s', async (_title, _configuration, line) => {
    const rows = await compareLine(arraysFolder, line);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ ok }) => !ok)).toEqual([]);
  });

  const attending = lines.filter(({ kind }) => ['flux', 'cache', 't5', 'clip', 'autoencoder'].includes(kind));
  it.each(
    attending.map((line) => [line.title, line.configuration, line] as const),
  )('also with attention as products and a softmax: %s: %s', async (_title, _configuration, line) => {
    const rows = await compareLine(arraysFolder, line, { provider: 'cpu', attention: 'composed' });
    expect(rows.filter(({ ok }) => !ok)).toEqual([]);
  });
});

describe('the transformer in 16 bits, rounded after each node', () => {
  const transformers = lines.filter((line) => line.kind === 'flux');
  const cases = (['bfloat16', 'float16'] as const).flatMap((type) =>
    transformers.map((line) => [type, line.configuration, line] as const),
  );
  it.each(cases)('%s: %s', async (type, _configuration, line) => {
    const transformer = { type, attention: 'fused' } as const;
    const rows = await compareLine(arraysFolder, line, { provider: 'cpu', attention: 'fused', transformer });
    expect(rows.map(({ title }) => title)).toEqual([`${line.title}, ${type}`]);
    expect(rows.filter(({ ok }) => !ok)).toEqual([]);
    // It was rounded.
    expect(rows[0]!.relativeError).toBeGreaterThan(1e-4);
  });

  it.each(
    transformers.map((line) => [line.configuration, line] as const),
  )('is one type throughout, as ONNX Runtime checks it: %s', async (_configuration, line) => {
    const file = await WeightsFile.open(path.join(arraysFolder, line.weights));
    const store = adapterStore({ transformer: file }, async (name) => path.join(arraysFolder, name));
    const adapters = await Promise.all(Object.keys(line.adapters).map(store.open));
    const open = (type: ComputeDType) =>
      Session.open(buildFlux(file, 6, 4, adapters, { type, attention: 'fused' }), {
        provider: 'cpu',
        copiesWeights: false,
      });
    await (await open('float16')).release();
    // The CPU has no kernels for it, which is checked after the types.
    await expect(open('bfloat16')).rejects.toThrow('Could not find an implementation for');
  });
});

describe('a deviation', () => {
  const line = { title: 'a formula', configuration: 'three values' };

  it('is measured by its largest and its relative error', () => {
    expect(compare([3, 4, 0], [3, 4, 0.5])).toEqual({
      values: 3,
      maxError: 0.5,
      relativeError: 0.5 / Math.hypot(3, 4, 0.5),
    });
  });

  it('fails its row, as does NaN', () => {
    const reference = Float32Array.of(3, 4, 0);
    for (const value of [0.01, Number.NaN]) {
      const ours = Float32Array.of(3, 4, value);
      expect(withinRelative(line, '', ours, reference, 1e-3).ok).toBe(false);
      expect(withinAbsolute(line, '', ours, reference, 1e-3).ok).toBe(false);
    }
    expect(() => compare([3, 4], [3, 4, 0])).toThrow('2 values of ours against 3');
  });
});
