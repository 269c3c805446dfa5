/** A short part of each long run, with a seed of its own; `npm run kills`, `npm run fuzz` and `npm run disk-full` do all of it. */
import { expect, it } from 'vitest';
import { fillDisk } from './disk-full.ts';
import { fuzz } from './fuzz.ts';
import { killCompanion, killEngine, moveClock } from './kills.ts';

it('1,500 requests by chance get an answer in time, and no error that is not declared', async () => {
  const { wrong, statuses } = await fuzz(1500, 7);
  expect(wrong).toEqual([]);
  expect(statuses[202]).toBeGreaterThan(0);
}, 120_000);

it('no edit is lost or done twice when the companion is killed', async () => {
  const { wrong, accepted } = await killCompanion(3, 7, 2);
  expect(wrong).toEqual([]);
  expect(accepted).toBeGreaterThan(5);
}, 240_000);

it('no edit is lost or done twice when its engine is killed', async () => {
  expect((await killEngine(3, 7)).wrong).toEqual([]);
}, 240_000);

it('no edit is lost when the clock moves between restarts, and the history keeps its order', async () => {
  expect((await moveClock(3, 7)).wrong).toEqual([]);
}, 240_000);

it.each([
  'companion',
  'engine',
] as const)('a disk that is full at a write of the %s ends nothing', async (who) => {
  const { wrong, writes } = await fillDisk(who, 2, 2);
  expect(wrong).toEqual([]);
  expect(writes).toHaveLength(2);
}, 240_000);
