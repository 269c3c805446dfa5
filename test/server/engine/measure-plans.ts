/**
 * `npm run measure:plans [-- COUNT [FIRST]]`: plans and then runs random edits on its own companion
 * (200 if no COUNT is given), prints those whose plan said something else, and then the planned seconds
 * beside the real ones of a few edits of pocket, each after two of its kind.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { projectRoot } from '../../../server/disk/paths.ts';
import type { PlanRequest } from '../../../shared/protocol/plan.ts';
import { encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { RunningCompanion } from '../http/running-companion.ts';
import { edited, planned, planOf, randomEdit } from './random-edits.ts';

const [count = 200, first = 1] = process.argv.slice(2).map(Number);
const companion = await RunningCompanion.start();
try {
  await comparePlans();
  await compareTimes();
} finally {
  await companion.remove();
}

async function comparePlans(): Promise<void> {
  let [same, refused] = [0, 0];
  for (let seed = first; seed < first + count; seed++) {
    const { plan, body } = randomEdit(seed);
    const before = await planned(companion, plan);
    const after = await edited(companion, body);
    if (isDeepStrictEqual(before, after)) same++;
    else console.log(JSON.stringify({ seed, before, after, plan }));
    if (after.error) refused++;
  }
  console.log(
    `${same} of ${count} edits were as planned; ${refused} of them were refused, for the same reason`,
  );
  if (same < count) process.exitCode = 1;
}

async function compareTimes(): Promise<void> {
  const assets = path.join(projectRoot, 'plugins', 'browser', 'assets');
  const file = (name: string): Tensor => {
    const data = readFileSync(path.join(assets, name));
    return { dtype: 'U8', shape: [data.length], data };
  };
  const picture = ['edit.jpg', file('sample-picture.jpg')] as const;
  const mask = ['mask.png', file('sample-mask.png')] as const;
  const reference = ['reference.0.png', file('sample-reference.png')] as const;
  const kinds: readonly (readonly [instruction: string, tensors: readonly (readonly [string, Tensor])[]])[] =
    [
      ['remove it', [picture, mask]],
      ['put {image1} here', [picture, mask, reference]],
      ['the same in the evening', [picture]],
      ['a red circle on a blue ground', []],
    ];
  for (const [instruction, tensors] of kinds) {
    for (const variants of [1, 4]) {
      const request = { version: 1 as const, instruction, model: 'pocket', variants };
      const body = encodeContainer({
        metadata: { request: JSON.stringify(request) },
        tensors: new Map(tensors),
      });
      for (let k = 0; k < 2; k++) await edited(companion, body);
      const layers = layersOf(tensors.length);
      const seconds = (await planOf(companion, { request, layers })).seconds ?? Number.NaN;
      const started = performance.now();
      await edited(companion, body);
      const real = (performance.now() - started) / 1000;
      const ratio = Math.max(seconds / real, real / seconds).toFixed(2);
      console.log(
        `${instruction}, ${variants}: planned ${seconds} s, took ${real.toFixed(1)} s, ratio ${ratio}`,
      );
    }
  }
}

/** The layers of the page's sample. */
function layersOf(count: number): PlanRequest['layers'] {
  const edit = { width: 960, height: 640 };
  const mask = { left: 384, top: 316, width: 224, height: 224 };
  return {
    ...(count > 0 && { edit }),
    ...(count > 1 && { mask }),
    references: count > 2 ? [{ width: 384, height: 384 }] : [],
  };
}
