import { describe, expect, test } from 'vitest';
import {
  type ActivationSizes,
  planMemory,
  transformerActivations,
  vaeActivations,
  type WeightForm,
} from '../../../server/runtime/memory-plan.ts';
import { CodedError } from '../../../shared/errors.ts';

/** FLUX.1-Fill-dev in bytes: 11.9e9 and 4.76e9 weights, of which T5's 131e6 embeddings stay as they are. */
const inBits = (perWeight: number) => {
  const weights = (bytes: number) => ({ bytes, inPages: perWeight === 2 });
  return {
    transformer: weights(11.9e9 * perWeight),
    t5: weights(4.63e9 * perWeight + 131e6 * 2),
    clip: { bytes: 246e6, inPages: false },
    vae: { bytes: 168e6, inPages: false },
  };
};
const forms: readonly WeightForm[] = [
  { id: 'flux-fill', ...inBits(2) },
  { id: 'flux-fill-8bit', ...inBits(1 + 4 / 64) },
  { id: 'flux-fill-4bit', ...inBits(0.5 + 4.5 / 64) },
];
const sizes: ActivationSizes = {
  hiddenSize: 3072,
  bytesPerValue: 2,
  textTokens: 512,
  maxSequence: 4096,
};

/** What a GPU of this many "GB" has free while driving a screen: 94% of its GiB. */
const card = (gigabytes: number) => gigabytes * 2 ** 30 * 0.94;

function refused(run: () => unknown): CodedError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof CodedError) return thrown;
  }
  throw new Error('It was not refused.');
}

describe('FLUX.1-Fill-dev on GPUs of all sizes', () => {
  test.each([
    { size: 80, id: 'flux-fill', inTurn: false, tileSide: 128 },
    { size: 48, id: 'flux-fill', inTurn: false, tileSide: 128 },
    { size: 32, id: 'flux-fill', inTurn: true, tileSide: 128 },
    { size: 24, id: 'flux-fill-8bit', inTurn: true, tileSide: 128 },
    { size: 16, id: 'flux-fill-8bit', inTurn: true, tileSide: 32 },
    { size: 12, id: 'flux-fill-4bit', inTurn: true, tileSide: 64 },
    { size: 10, id: 'flux-fill-4bit', inTurn: true, tileSide: 32 },
  ])('$size GB: $id, in turn $inTurn, tiles of $tileSide, at the full sequence', ({
    size,
    id,
    inTurn,
    tileSide,
  }) => {
    const plan = planMemory(card(size), forms, sizes);
    expect(plan).toMatchObject({ form: { id }, inTurn, tileSide });
    expect(plan.fittingSequence).toBeGreaterThanOrEqual(4096);
  });

  test('8 GB: rejected, with the memory it would take and a remedy', () => {
    const error = refused(() => planMemory(card(8), forms, sizes));
    expect(error.code).toBe('out-of-memory');
    expect(error.detail).toMatch(
      /"flux-fill-4bit" takes at least \d+\.\d GB of memory, and 8\.1 GB are free/,
    );
    expect(error.remedy).toContain('"pocket"');
    expect(error.remedy).not.toContain('quantize');
  });

  test('12 GB without quantized weights: the remedy is the command that makes them', () => {
    const error = refused(() => planMemory(card(12), forms.slice(0, 1), sizes));
    expect(error.remedy).toContain('acepp quantize --model flux-fill --bits 4');
  });

  test('a text encoder larger than everything after it must also fit', () => {
    const whole = { ...forms[2]!, t5: forms[0]!.t5 };
    expect(planMemory(card(14), [whole], sizes).inTurn).toBe(true);
    expect(planMemory(card(12), forms.slice(2), sizes).inTurn).toBe(true);
    expect(refused(() => planMemory(card(12), [whole], sizes)).code).toBe('out-of-memory');
  });

  test('between the minimum and the full sequence, only tokens are given up', () => {
    const wide = { ...sizes, maxSequence: 60_000 };
    const plan = planMemory(card(12), forms, wide);
    expect(plan).toMatchObject({ form: { id: 'flux-fill-4bit' }, inTurn: true });
    expect(plan.fittingSequence).toBeGreaterThan(4096);
    expect(plan.fittingSequence).toBeLessThan(60_000);
  });
});

test('more memory never gives a worse plan, and every plan fits', () => {
  const rank = (free: number) => {
    try {
      const plan = planMemory(free, forms, sizes);
      expect(plan.bytes).toBeLessThan(free);
      return [
        forms.length - forms.indexOf(plan.form),
        plan.fittingSequence >= 4096 ? 1 : 0,
        plan.tileSide,
        plan.inTurn ? 0 : 1,
      ];
    } catch {
      return [0, 0, 0, 0];
    }
  };
  let last = [0, 0, 0, 0];
  for (let free = 1e9; free < 90e9; free += 0.05e9) {
    const now = rank(free);
    const first = now.findIndex((value, i) => value !== last[i]);
    if (first >= 0) expect(now[first], `at ${free}`).toBeGreaterThan(last[first]!);
    last = now;
  }
});

test('references cost as much as their tokens', () => {
  const alone = transformerActivations(sizes, 4096);
  expect(transformerActivations(sizes, 8192) - alone).toBe(
    4096 * (alone - transformerActivations(sizes, 4095)),
  );
  expect(vaeActivations(32) * 4).toBe(vaeActivations(64));
});
