import { expect, it } from 'vitest';
import { finish, percentile, seamCase, steps } from './seams.ts';

/** Case 7 has a noisy background, which the generator blurs: it fails if the grain isn't matched. */
it.each([
  0, 1, 2, 3, 7,
])('leaves hardly a seam at the border of an edit, and every byte outside it unchanged (case %d)', (number) => {
  const each = seamCase(number);
  const { finished, pasted } = finish(each);
  const [after, before] = [finished, pasted].map((picture) => steps(picture, each.picture, each.mask));
  expect(percentile(after!.mean, 0.95)).toBeLessThan(Math.min(2, percentile(before!.mean, 0.95)));
  expect(percentile(after!.grain, 0.95)).toBeLessThan(1.5);
  const outside = (data: ArrayLike<number>) =>
    Array.from(data).filter((_, i) => each.mask.data[Math.floor(i / 3)] === 0);
  expect(outside(finished.data)).toEqual(outside(each.picture.data));
});
