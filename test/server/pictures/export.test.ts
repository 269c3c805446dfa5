import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodePicture } from '../../../server/pictures/decode.ts';
import { exportEdit, type FinishedEdit, type OutputEncoding } from '../../../server/pictures/export.ts';
import type { Picture } from '../../../server/pictures/picture.ts';
import type { Raster } from '../../../shared/image.ts';
import type { Samples } from '../../../shared/samples.ts';
import { adobeRGB, gammaProfile } from './profiles.ts';

const size = { width: 24, height: 16 };
const bounds = { left: 6, top: 4, width: 10, height: 8 };

function documentOf(channels: Samples['channels'], isDeep: boolean, icc?: Uint8Array): Picture {
  const count = size.width * size.height * channels;
  const data = isDeep ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) data[i] = (i * 7919 + 31) % (isDeep ? 65536 : 256);
  const samples = { ...size, channels, data };
  return { encoding: 'png', samples, ...(icc && { icc }), pixelsPerInch: 300, orientation: 1, notes: [] };
}

/** A layer whose alpha is a ramp from 0 to full. */
function layerOf({ width, height }: { width: number; height: number }, isDeep: boolean): Raster {
  const white = isDeep ? 65535 : 255;
  const data = isDeep ? new Uint16Array(width * height * 4) : new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    data.set(
      [0.8 * white, 0.4 * white, 0.1 * white, Math.min(white, ((i % width) * white) / (width - 1))],
      i * 4,
    );
  }
  return { width, height, channels: 4, data };
}

function edit(document: Picture | undefined, changes: Partial<FinishedEdit> = {}): FinishedEdit {
  const isDeep = document?.samples.data instanceof Uint16Array;
  return {
    document,
    isMasked: true,
    layer: layerOf(bounds, isDeep),
    bounds,
    instruction: 'a fox',
    result: { task: 'inpaint', model: 'pocket', adapters: [{ name: 'a<b', scale: 0.5 }], seed: 7 },
    ...changes,
  };
}

const reopened = async (
  finished: FinishedEdit,
  as: 'picture' | 'layer',
  encoding: OutputEncoding,
  layer?: string,
) => decodePicture((await exportEdit(finished, as, encoding)).bytes, { what: 'picture', layer });

const isOutside = (i: number, channels: number) => {
  const [x, y] = [Math.floor(i / channels) % size.width, Math.floor(i / channels / size.width)];
  return (
    x < bounds.left || x >= bounds.left + bounds.width || y < bounds.top || y >= bounds.top + bounds.height
  );
};

describe('a finished picture', () => {
  const cases = (['png', 'tif', 'webp', 'psd', 'psb'] as const).flatMap(
    (encoding) =>
      [
        [encoding, 3, false, 'Adobe RGB', adobeRGB()],
        [encoding, 3, true, 'Adobe RGB', adobeRGB()],
        [encoding, 4, false, 'no profile', undefined],
        [encoding, 1, true, 'grey of gamma 1.75', gammaProfile(1.75)],
      ] as const,
  );
  it.each(
    cases.filter(([encoding, channels, isDeep]) => encoding !== 'webp' || (channels > 2 && !isDeep)),
  )('as %s of %d channels (16 bits: %s, %s) has the document’s samples outside the mask', async (...given) => {
    const [encoding, channels, isDeep, , icc] = given;
    const document = documentOf(channels, isDeep, icc);
    // Photoshop's flattened picture has no colour under an alpha of 0: there the layer is compared.
    const layer = channels === 4 && encoding.startsWith('ps') ? 'Picture' : undefined;
    const back = await reopened(edit(document), 'picture', encoding, layer);
    expect(back.samples).toMatchObject({ ...size, channels });
    expect(back.samples.data.BYTES_PER_ELEMENT).toBe(isDeep ? 2 : 1);
    expect(back.icc && Buffer.from(back.icc).equals(icc!)).toBe(icc && true);
    if (encoding !== 'webp') expect(back.pixelsPerInch).toBeCloseTo(300, 0);
    const own = [...document.samples.data].filter((_, i) => isOutside(i, channels));
    expect([...back.samples.data].filter((_, i) => isOutside(i, channels))).toEqual(own);
  });

  it('carries the layer’s colour in the document’s space', async () => {
    const { samples } = await reopened(edit(documentOf(3, true, adobeRGB())), 'layer', 'tif');
    expect(samples).toMatchObject({ width: 10, height: 8, channels: 4 });
    // sRGB (0.8, 0.4, 0.1) in Adobe RGB: linear R = 0.7152 r + 0.2848 g, G = g, B = 0.0412 g + 0.9588 b,
    // gamma 563/256.
    const wanted = [0.7092, 0.3995, 0.1485].map((value) => Math.round(value * 65535));
    for (const [c, value] of wanted.entries())
      expect(Math.abs(samples.data[36 + c]! - value)).toBeLessThan(200);
  });

  it('extends its canvas with outpainting and super-resolution', async () => {
    const document = documentOf(3, false);
    const around = { left: -8, top: -4, width: 40, height: 24 };
    const outpainted = edit(document, { bounds: around, layer: layerOf(around, false) });
    for (const encoding of ['png', 'psd'] as const) {
      expect((await reopened(outpainted, 'picture', encoding)).samples).toMatchObject({
        width: 40,
        height: 24,
      });
    }
    const placed = await reopened(outpainted, 'picture', 'psd', 'Picture');
    expect([...placed.samples.data.slice((4 * 40 + 8) * 4, (4 * 40 + 8) * 4 + 3)]).toEqual([
      ...document.samples.data.slice(0, 3),
    ]);
    const twice = { left: 0, top: 0, width: 48, height: 32 };
    const result = { ...outpainted.result, task: 'super-resolution' } as const;
    const enlarged = edit(document, { bounds: twice, layer: layerOf(twice, false), isMasked: false, result });
    const { samples } = await reopened(enlarged, 'picture', 'psd', 'Picture');
    expect(samples).toMatchObject({ width: 48, height: 32 });
    expect(samples.data.filter((_, i) => i % 4 === 3).every((alpha) => alpha === 255)).toBe(true);
  });

  it('reports what a format cannot hold', async () => {
    const deep = edit(documentOf(3, true));
    expect((await exportEdit(deep, 'picture', 'jpg')).notes.join()).toContain('8 bits');
    expect((await exportEdit(deep, 'layer', 'jpg')).notes.join()).toContain('no transparency');
    expect((await exportEdit(deep, 'picture', 'png')).notes).toEqual([]);
    const grey = edit(documentOf(1, false), { isMasked: false });
    expect((await exportEdit(grey, 'picture', 'png')).notes.join()).toContain('in colour');
  });

  it.each([
    'png',
    'jpg',
    'webp',
    'avif',
    'tif',
  ] as const)('says in XMP how it was made, in %s', async (encoding) => {
    const { bytes } = await exportEdit(edit(documentOf(3, false)), 'picture', encoding);
    const xmp = String((await sharp(bytes).metadata()).xmp);
    expect(xmp).toContain('/compositeWithTrainedAlgorithmicMedia"');
    expect(xmp).toContain('acepp:adapters="a&lt;b 0.5" acepp:seed="7"');
    const made = await exportEdit(edit(undefined), 'picture', encoding);
    expect(String((await sharp(made.bytes).metadata()).xmp)).toContain('/trainedAlgorithmicMedia"');
  });

  it('is rejected by its size before it is written', async () => {
    const wide = { ...size, width: 16_400, height: 1 };
    const layer = { ...wide, channels: 4, data: new Uint8Array(16_400 * 4) } as const;
    const finished = edit(undefined, { layer, bounds: { left: 0, top: 0, ...wide } });
    await expect(exportEdit(finished, 'picture', 'webp')).rejects.toMatchObject({ code: 'too-large' });
  });
});
