import { expect, test } from 'vitest';
import { readResult } from '../../shared/protocol/result-container.ts';
import type { DType, Tensor } from '../../shared/safetensors.ts';

const bounds = JSON.stringify({ left: -3, top: 4, width: 2, height: 1 });
const layer = (dtype: DType = 'U8', shape = [1, 2, 4]): Tensor => ({ dtype, shape, data: new Uint8Array(8) });
const result = (metadata: Record<string, string>, tensors: Record<string, Tensor>) =>
  readResult({ metadata, tensors: new Map(Object.entries(tensors)) });

test('a result decodes to its pixels and their position', () => {
  expect(result({ bounds }, { layer: layer() })).toMatchObject({
    bounds: { left: -3, top: 4, width: 2, height: 1 },
    pixels: { dtype: 'U8' },
    result: undefined,
  });
});

test.each([
  ['no layer', { bounds }, {}, 'nothing'],
  ['a layer of floats', { bounds }, { layer: layer('F32') }, 'F32 [1,2,4]'],
  ['a layer without alpha', { bounds }, { layer: layer('U8', [1, 2, 3]) }, 'U8 [1,2,3]'],
  ['no bounds', {}, { layer: layer() }, 'missing'],
  ['bounds that are not JSON', { bounds: '{' }, { layer: layer() }, 'its bounds are {'],
  ['bounds without a place', { bounds: '{"width":2,"height":1}' }, { layer: layer() }, '{"width":2'],
  ['bounds of another size', { bounds: bounds.replace('2', '3') }, { layer: layer() }, '2x1'],
])('a result with %s is rejected with the reason', (_, metadata, tensors, what) => {
  expect(() => result(metadata, tensors)).toThrowError(
    expect.objectContaining({ code: 'container-invalid', message: expect.stringContaining(what) as string }),
  );
});
