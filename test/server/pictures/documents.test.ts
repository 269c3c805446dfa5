import { afterAll, beforeAll, expect, it } from 'vitest';
import { RunningCompanion } from '../http/running-companion.ts';
import { seeded } from './malformed.ts';
import { runDocuments } from './random-documents.ts';

let companion: RunningCompanion;
beforeAll(async () => {
  companion = await RunningCompanion.start();
});
afterAll(() => companion.stop());

it('keeps ten seeded documents unchanged outside the mask', async () => {
  expect(await runDocuments(companion, 10, seeded(2026))).toEqual([]);
});
