import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunningCompanion } from '../http/running-companion.ts';
import { edited, planned, randomEdit } from './random-edits.ts';

let companion: RunningCompanion;

beforeAll(async () => {
  companion = await RunningCompanion.start();
});
afterAll(() => companion?.remove());

describe('a plan', () => {
  // `npm run measure:plans` has 200.
  it('says what the edit then is: task, size, model, adapters and notes, or why there is none', async () => {
    let ran = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const { plan, body } = randomEdit(seed);
      const before = await planned(companion, plan);
      const after = await edited(companion, body);
      expect(before, `edit ${seed}: ${JSON.stringify(plan)}`).toEqual(after);
      if (after.settled) ran++;
    }
    expect(ran).toBeGreaterThan(4);
  });
});
