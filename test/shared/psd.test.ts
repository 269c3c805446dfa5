import { initializeCanvas, readPsd } from 'ag-psd';
import { describe, expect, it } from 'vitest';
import { layerName } from '../../shared/psd/layer-name.ts';
import { maskedLayer } from '../../shared/psd/masked-layer.ts';
import { needsPSB, type PSDNode, wholeLayer, writePSD } from '../../shared/psd/write.ts';
import type { Samples } from '../../shared/samples.ts';

// The reader makes its images through this; no canvas is needed.
initializeCanvas(
  () => {
    throw new Error('no canvas is needed');
  },
  (width, height) => ({ width, height, data: new Uint8ClampedArray(width * height * 4), colorSpace: 'srgb' }),
);

function filled(
  width: number,
  height: number,
  at: (x: number, y: number) => number[],
  isDeep = false,
): Samples {
  const pixels = Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width)));
  const channels = pixels[0]!.length as Samples['channels'];
  const data = isDeep ? Uint16Array.from(pixels.flat()) : Uint8Array.from(pixels.flat());
  return { width, height, channels, data };
}

const picture = filled(20, 10, (x, y) => [x * 10, y * 20, 7]);
const flat = filled(20, 10, () => [1, 2, 3]);
/** Its alpha is a ramp: 0 at the left, 255 at the right. */
const ramp = filled(6, 4, (x) => [200, 100, 50, x * 51]);
const bounds = { left: 5, top: 3, width: 6, height: 4 };
const opened = (layers: readonly PSDNode[], isLarge = false) =>
  readPsd(writePSD({ flat, layers, pixelsPerInch: 300 }, isLarge), { useImageData: true });

describe('a layered PSD', () => {
  it.each([false, true])('has picture and layer in position, with the alpha as mask (PSB: %s)', (isLarge) => {
    const name = 'a red circle é🦊';
    const psd = opened([wholeLayer('Picture', picture), maskedLayer(name, ramp, bounds)], isLarge);
    expect([psd.width, psd.height]).toEqual([20, 10]);
    expect(psd.imageResources?.resolutionInfo?.horizontalResolution).toBe(300);
    const [below, above] = psd.children!;
    const rgb = below!.imageData!.data.filter((_, i) => i % 4 < 3);
    expect([...rgb]).toEqual([...picture.data]);
    const place = { left: 5, top: 3, right: 11, bottom: 7 };
    expect(above).toMatchObject({ name, ...place, hidden: false });
    expect(above!.mask).toMatchObject({ ...place, defaultColor: 0 });
    const mask = above!.mask!.imageData!.data;
    expect([0, 1, 2, 3, 4, 5].map((x) => mask[x * 4])).toEqual([0, 51, 102, 153, 204, 255]);
    expect([...above!.imageData!.data.subarray(0, 4)]).toEqual([200, 100, 50, 255]);
    expect([...psd.imageData!.data.subarray(0, 4)]).toEqual([1, 2, 3, 255]);
  });

  it('keeps groups, pixels outside the picture, and layer visibility', () => {
    const hidden = maskedLayer('inside', ramp, { ...bounds, left: -2, top: 8 }, false);
    const group: PSDNode = { kind: 'group', name: 'Group', children: [hidden], visible: true };
    const [, read] = opened([wholeLayer('Picture', picture), group]).children!;
    expect(read).toMatchObject({ name: 'Group', hidden: false });
    expect(read!.children).toHaveLength(1);
    const place = { left: -2, top: 8, right: 4, bottom: 12 };
    expect(read!.children![0]).toMatchObject({ name: 'inside', ...place, hidden: true });
  });

  it('is rejected if a layer’s depth or size differs from its declaration', () => {
    const deep = filled(20, 10, () => [1, 2, 3], true);
    expect(() => opened([wholeLayer('deep', deep)])).toThrow('depth');
    expect(() => opened([maskedLayer('small', ramp, { ...bounds, width: 7 })])).toThrow('size');
  });

  it('must be a PSB from 30,001 pixels a side', () => {
    const side = (width: number): Samples => ({ width, height: 1, channels: 3, data: new Uint8Array(0) });
    expect([needsPSB(side(30_000)), needsPSB(side(30_001))]).toEqual([false, true]);
  });
});

describe('the name of a layer', () => {
  const long = 'x'.repeat(59);
  it.each([
    ['a fox\u0007\n in\tthe snow', 'a fox in the snow'],
    ['half \ud83e of a fox', 'half \ufffd of a fox'],
    [`${long}🦊🦊`, `${long}🦊`],
    // One person of several code points.
    [`${long}\u{1f469}\u200d\u{1f680}!`, `${long}\u{1f469}\u200d\u{1f680}`],
    ['\u0000', 'ACE++'],
  ])('of %j is %j', (text, name) => expect(layerName(text)).toBe(name));
});
