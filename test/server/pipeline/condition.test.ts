import { expect, it } from 'vitest';
import { readUnits } from '../../../server/pipeline/condition.ts';
import { type InstalledModel, resolveEdit } from '../../../server/pipeline/resolve.ts';
import type { Raster } from '../../../shared/image.ts';

const side = 512;
const red: Raster = {
  width: side,
  height: side,
  channels: 3,
  data: new Uint8Array(side * side * 3).map((_, i) => (i % 3 === 0 ? 255 : 0)),
};

/** The grey, in [0, 1], that recolouring makes of pure red. */
function greyOfRed(family: InstalledModel['family']): number {
  const request = { version: 1, task: 'recolor', instruction: 'blue' } as const;
  const model = { id: family, family, maxSequence: 1024, adapters: [] };
  const given = { edit: true, mask: false, references: 0 };
  const edit = resolveEdit(request, { given, picture: red, references: [] }, model);
  const input = { request, given, edit: red, references: [], origin: { left: 0, top: 0 }, notes: [] };
  const { target } = readUnits(input, edit);
  return ((target.image?.data[0] ?? Number.NaN) + 1) / 2;
}

it('recolouring starts from the grey of the training data: red weighs as blue does elsewhere', () => {
  expect(greyOfRed('fill')).toBeCloseTo(0.114, 5);
  expect(greyOfRed('fft')).toBeCloseTo(0.114, 5);
  expect(greyOfRed('pocket')).toBeCloseTo(0.299, 5);
});
