import { expect, it } from 'vitest';
import { readDamaged } from './malformed.ts';

it('reads 400 damaged pictures and masks, or rejects them by code', async () => {
  const { codes, wrong } = await readDamaged(400, 2026);
  expect(wrong).toEqual([]);
  expect(codes.read).toBeGreaterThan(20);
  expect(codes['image-invalid']).toBeGreaterThan(100);
});
