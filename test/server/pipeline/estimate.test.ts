import { describe, expect, it } from 'vitest';
import { Estimate } from '../../../server/pipeline/estimate.ts';

const work = { encoding: 100, step: 1000, decoding: 50 };
const earlier = { encoding: 0.02, step: 0.003, decoding: 0.02 };

describe('the time left', () => {
  it('is unknown before the first step without an earlier edit', () => {
    const estimate = new Estimate({ steps: 4, variants: 1, work });
    expect(estimate.secondsLeft(0, 0)).toBeUndefined();
    estimate.encoded(1);
    expect(estimate.secondsLeft(0, 0)).toBeUndefined();
    estimate.stepped(2, 0);
    // Three steps more, and a decoding that is taken for one.
    expect(estimate.secondsLeft(0, 1)).toBe(8);
  });

  it('is known from the start after an earlier edit, scaled to this one’s work', () => {
    const estimate = new Estimate({ steps: 4, variants: 2, work, earlier });
    expect(estimate.secondsLeft(0, 0)).toBe(2 + 2 * (4 * 3 + 1));
    estimate.encoded(5);
    expect(estimate.secondsLeft(0, 0)).toBe(2 * (4 * 3 + 1));
    const larger = new Estimate({ steps: 4, variants: 1, work: { ...work, step: 2000 }, earlier });
    expect(larger.secondsLeft(0, 0)).toBe(2 + 4 * 6 + 1);
  });

  it('ignores the first step, which opens the network, once there is another', () => {
    const estimate = new Estimate({ steps: 5, variants: 1, work });
    estimate.encoded(1);
    estimate.stepped(30, 0);
    expect(estimate.secondsLeft(0, 1)).toBe(4 * 30 + 30);
    estimate.stepped(2, 0.5);
    expect(estimate.secondsLeft(0, 2)).toBe(3 * 2.5 + 2.5);
    const warned = new Estimate({ steps: 5, variants: 1, work, earlier });
    warned.stepped(30, 0);
    expect(warned.secondsLeft(0, 1)).toBe(2 + 4 * 3 + 1);
  });

  it('counts decodes as they happen', () => {
    const estimate = new Estimate({ steps: 2, variants: 3, work, earlier });
    estimate.encoded(1);
    for (const seconds of [9, 4]) estimate.stepped(seconds, 0);
    estimate.decoded(7);
    expect(estimate.secondsLeft(0, 2)).toBe(2 * (2 * 4) + 3 * 7);
  });
});

it('the step timings of an edit predict the same edit', () => {
  const first = new Estimate({ steps: 3, variants: 1, work });
  first.encoded(2);
  for (const seconds of [9, 4, 6]) first.stepped(seconds, 1);
  first.decoded(3);
  const second = new Estimate({ steps: 3, variants: 1, work, earlier: first.timings() });
  // Steps as they are without previews, warm.
  expect(second.secondsLeft(0, 0)).toBe(2 + 3 * 5 + 3);
});

it('a cached encoding does not affect the encoding estimate', () => {
  const work = { encoding: 10, step: 10, decoding: 10 };
  const paceAfter = (seconds: number) => {
    const edit = new Estimate({
      steps: 1,
      variants: 1,
      work,
      earlier: { encoding: 1, step: 1, decoding: 1 },
    });
    edit.encoded(seconds);
    edit.stepped(10, 0);
    edit.decoded(10);
    return edit.timings().encoding;
  };
  expect([paceAfter(0.05), paceAfter(2)]).toEqual([1, 0.2]);
});
