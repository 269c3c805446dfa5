import { expect, test } from 'vitest';
import { PreviewThrottle } from '../../../server/pipeline/preview.ts';

test.each([
  { cost: 20, step: 100 },
  { cost: 400, step: 100 },
  { cost: 9000, step: 1500 },
])('previews of $cost ms with steps of $step ms appear, and take at most a fifth of the time', ({
  cost,
  step,
}) => {
  const pace = new PreviewThrottle();
  let now = 0;
  let previews = 0;
  for (let i = 0; i < 200; i++) {
    now += step;
    if (!pace.isDue(now)) continue;
    pace.made(now, now + cost);
    now += cost;
    previews++;
  }
  expect(previews).toBeGreaterThan(1);
  // The first one comes at once.
  expect((previews - 1) * cost).toBeLessThanOrEqual(now / 5);
});
