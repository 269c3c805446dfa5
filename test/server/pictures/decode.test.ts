import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodePicture, pictureInSRGB } from '../../../server/pictures/decode.ts';
import { cleanMask, decodeMaskFile } from '../../../server/pictures/mask.ts';
import { wrapTIFF } from '../../../server/pictures/tiff.ts';
import { CodedError } from '../../../shared/errors.ts';
import { maskedLayer } from '../../../shared/psd/masked-layer.ts';
import { type PSDNode, wholeLayer, writePSD } from '../../../shared/psd/write.ts';
import type { Samples } from '../../../shared/samples.ts';
import { gammaProfile } from './profiles.ts';

const size = { width: 12, height: 8 };
const samplesOf = (channels: Samples['channels'], isDeep = false): Samples => {
  const count = size.width * size.height * channels;
  const data = isDeep ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) data[i] = (i * 7919 + 31) % (isDeep ? 65536 : 256);
  return { ...size, channels, data };
};
const rgb = samplesOf(3);
const decode = (bytes: Uint8Array, layer?: string) => decodePicture(bytes, { what: 'picture', layer });
const refusal = async (decoding: Promise<unknown>): Promise<CodedError> => {
  const thrown = await decoding.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(CodedError);
  return thrown as CodedError;
};
const tiffOf = (samples: Samples, icc?: Uint8Array) =>
  wrapTIFF({ ...samples, space: samples.channels < 3 ? 'grey' : 'rgb', icc });
/** One sample of 32-bit floating point (TIFF 6.0, "SampleFormat"). */
function floatTIFF(): Buffer {
  const tags = [
    [256, 1],
    [257, 1],
    [258, 32],
    [259, 1],
    [262, 1],
    [273, 8],
    [277, 1],
    [278, 1],
    [279, 4],
    [339, 3],
  ] as const;
  const file = Buffer.alloc(12 + 2 + tags.length * 12 + 4);
  file.write('II*\0', 'latin1');
  file.writeUInt32LE(12, 4);
  file.writeFloatLE(0.5, 8);
  file.writeUInt16LE(tags.length, 12);
  for (const [i, [tag, value]] of tags.entries()) {
    file.writeUInt16LE(tag, 14 + 12 * i);
    file.writeUInt16LE(3, 16 + 12 * i);
    file.writeUInt32LE(1, 18 + 12 * i);
    file.writeUInt16LE(value, 22 + 12 * i);
  }
  return file;
}

const image = (samples: Samples) => sharp(tiffOf(samples));

describe('a picture', () => {
  it.each([
    ['PNG', () => image(rgb).png(), 0],
    ['TIFF', () => image(rgb).tiff({ compression: 'lzw' }), 0],
    ['WebP', () => image(rgb).webp({ lossless: true }), 0],
    ['AVIF', () => image(rgb).avif({ quality: 100, chromaSubsampling: '4:4:4' }), 2],
    ['JPEG', () => image(rgb).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }), 4],
    ['GIF', () => image(rgb).gif(), 64],
  ] as const)('is read from %s', async (_, make, error) => {
    const { samples } = await decode(await make().toBuffer());
    expect(samples).toMatchObject(size);
    const colours = samples.data.filter((_, i) => i % samples.channels < 3);
    const differences = [...colours].map((value, i) => Math.abs(value - rgb.data[i]!));
    expect(Math.max(...differences)).toBeLessThanOrEqual(error);
  });

  it.each([
    [1, false],
    [2, false],
    [3, false],
    [4, false],
    [1, true],
    [2, true],
    [3, true],
    [4, true],
  ] as const)('keeps its own %d channels (16 bits: %s), also from a flattened PSD', async (channels, isDeep) => {
    const own = samplesOf(channels, isDeep);
    const { samples } = await decode(tiffOf(own));
    expect([samples.channels, [...samples.data]]).toEqual([channels, [...own.data]]);
    if (channels % 2 === 0) return;
    const psd = await decode(writePSD({ flat: own, layers: [], pixelsPerInch: 240 }));
    expect(psd).toMatchObject({ encoding: 'psd', pixelsPerInch: 240 });
    expect([psd.samples.channels, [...psd.samples.data]]).toEqual([channels, [...own.data]]);
  });

  it.each([false, true])('is one layer of a PSD by its path (16 bits: %s)', async (isDeep) => {
    const own = samplesOf(3, isDeep);
    const part = { ...samplesOf(4, isDeep), width: 6, height: 4 };
    const cut = { ...part, data: part.data.slice(0, 6 * 4 * 4) };
    const named = (name: string) => maskedLayer(name, cut, { left: 2, top: 3, width: 6, height: 4 });
    const group: PSDNode = {
      kind: 'group',
      name: 'Animals',
      children: [named('Fox'), named('Twin'), named('Twin')],
      visible: true,
    };
    const bytes = writePSD({ flat: own, layers: [wholeLayer('Ground', own), group] }, isDeep);
    const { samples } = await decode(bytes, 'Animals/Fox');
    expect([samples.width, samples.height, samples.channels]).toEqual([12, 8, 4]);
    const at = (3 * 12 + 2) * 4;
    expect([...samples.data.slice(at, at + 24)]).toEqual([...cut.data.slice(0, 24)]);
    expect(samples.data[3]).toBe(0);
    for (const [path, why] of [
      ['Animals/Twin', '2 layers'],
      ['Fox', 'no layer'],
      ['Animals', 'is a group'],
    ] as const) {
      const error = await refusal(decode(bytes, path));
      expect(error.code).toBe('request-invalid');
      expect(error.message).toContain(why);
      expect(error.remedy).toContain('"Animals/Fox"');
    }
  });

  it('is converted from a grey profile to sRGB, the same at both depths', async () => {
    const profile = gammaProfile(1.75);
    const values = Array.from({ length: 96 }, (_, i) => i * 2);
    const [shallow, deep] = await Promise.all(
      [Uint8Array.from(values), Uint16Array.from(values, (value) => value * 257)].map(async (data) => {
        const picture = await decode(
          await sharp(tiffOf({ ...size, channels: 1, data }, profile), { ignoreIcc: true })
            .toColourspace(data instanceof Uint16Array ? 'grey16' : 'b-w')
            .keepIccProfile()
            .png()
            .toBuffer(),
        );
        expect(picture.icc).toBeDefined();
        return (await pictureInSRGB(picture, 'picture')).data;
      }),
    );
    for (const [i, value] of values.entries()) {
      const linear = (value / 255) ** 1.75;
      const wanted = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
      expect(Math.abs(shallow![i * 3]! / 255 - wanted)).toBeLessThan(0.6 / 255);
      expect(Math.abs(deep![i * 3]! / 65535 - wanted)).toBeLessThan(0.01 / 255);
    }
  });

  it('keeps the colour under an alpha of 0', async () => {
    const clear = {
      ...size,
      channels: 4,
      data: new Uint8Array(384).map((_, i) => (i % 4 === 3 ? 0 : 200)),
    } as const;
    for (const bytes of [
      await image(clear).png().toBuffer(),
      await image(clear).webp({ lossless: true, exact: true }).toBuffer(),
    ]) {
      expect([...(await decode(bytes)).samples.data.slice(0, 4)]).toEqual([200, 200, 200, 0]);
    }
  });

  it.each([
    'jpeg',
    'webp',
    'png',
    'tiff',
    'avif',
  ] as const)('is turned upright by EXIF in %s', async (format) => {
    const bytes = await image(rgb)
      .withExif({ IFD0: { Orientation: '6' } })
      .withMetadata({ orientation: 6 })
      .toFormat(format)
      .toBuffer();
    expect((await decode(bytes)).samples).toMatchObject({ width: 8, height: 12 });
  });

  it('is the first frame of several, which is noted', async () => {
    const other = { ...rgb, data: rgb.data.map((value) => 255 - value) };
    const frames = await sharp([tiffOf(rgb), tiffOf(other)], { join: { animated: true } })
      .gif()
      .toBuffer();
    const { samples, notes } = await decode(frames);
    expect(samples).toMatchObject(size);
    expect(notes[0]).toContain('2 frames');
  });

  it('of CMYK is converted, which is noted', async () => {
    const { samples, notes } = await decode(await image(rgb).toColourspace('cmyk').tiff().toBuffer());
    expect(samples.channels).toBe(3);
    expect(notes[0]).toContain('CMYK');
  });

  it.each<[string, () => Promise<Uint8Array>, string]>([
    ['HEIC', async () => Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1', 'latin1'), 'HEIC'],
    ['JPEG XL', async () => Buffer.from('\xff\x0a\0\0', 'latin1'), 'JPEG XL'],
    ['SVG', async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'SVG'],
    ['nothing', async () => new Uint8Array(0), '0 bytes'],
    ['32-bit float', async () => floatTIFF(), 'floating point'],
    [
      'a PSD of 32 bits',
      async () => {
        const psd = writePSD({ flat: rgb, layers: [] });
        psd[23] = 32;
        return psd;
      },
      '32 bits',
    ],
    [
      'a PSD in Multichannel',
      async () => {
        const psd = writePSD({ flat: rgb, layers: [] });
        psd[25] = 7;
        return psd;
      },
      'Multichannel',
    ],
  ])('of %s is rejected by name', async (_, make, name) => {
    const error = await refusal(make().then((bytes) => decode(bytes)));
    expect(error.code).toBe('image-invalid');
    expect(error.detail).toContain(name);
  });

  it('is read despite a wrong checksum, but rejected if truncated', async () => {
    const bytes = await image(samplesOf(3)).png().toBuffer();
    const at = bytes.indexOf('IDAT');
    const length = bytes.readUInt32BE(at - 4);
    const badCRC = Buffer.from(bytes);
    badCRC[at + 4 + length]! ^= 255;
    expect([...(await decode(badCRC)).samples.data]).toEqual([...rgb.data]);
    expect((await refusal(decode(bytes.subarray(0, at + 20)))).code).toBe('image-invalid');
  });
});

describe('a mask', () => {
  const maskFile = (values: readonly number[], icc?: Uint8Array) =>
    sharp(
      wrapTIFF({
        width: values.length,
        height: 1,
        channels: 1,
        data: Uint8Array.from(values),
        space: 'grey',
        icc,
      }),
      { ignoreIcc: true },
    )
      .toColourspace('b-w')
      .keepIccProfile()
      .png()
      .toBuffer();

  it.each([undefined, 1.75])('is data: no profile changes it (gamma %s)', async (gamma) => {
    const values = [0, 10, 60, 128, 200, 255];
    const { mask } = await decodeMaskFile(await maskFile(values, gamma ? gammaProfile(gamma) : undefined));
    expect([...mask.data]).toEqual(values);
  });

  it('counts near-black as black and near-white as white, with a note if that matters', () => {
    const { mask, notes } = cleanMask({ width: 6, height: 1, data: Uint8Array.of(1, 4, 5, 250, 251, 254) });
    expect([...mask.data]).toEqual([0, 0, 5, 250, 255, 255]);
    expect(notes[0]).toContain('count as 0');
  });

  it('is rejected if faint, with how to stretch it, and noted if grey', () => {
    const clean = (peak: number) => cleanMask({ width: 2, height: 1, data: Uint8Array.of(0, peak) });
    const codeOf = (peak: number) => {
      try {
        return clean(peak).notes.length;
      } catch (error) {
        return (error as CodedError).code;
      }
    };
    expect([0, 1, 4, 5, 127, 128, 250, 251, 255].map(codeOf)).toEqual([
      'mask-empty',
      'mask-empty',
      'mask-empty',
      'mask-faint',
      'mask-faint',
      1,
      1,
      0,
      0,
    ]);
    expect(() => clean(100)).toThrow('2.55');
  });

  it('reports its source: brightness for a photo with a hole, opacity for a single painted colour', async () => {
    const photo = {
      ...rgb,
      channels: 4,
      data: Uint8Array.from({ length: 384 }, (_, i) => (i % 4 === 3 ? (i < 100 ? 0 : 255) : (i * 37) % 256)),
    } as const;
    const { mask, notes } = await decodeMaskFile(await image(photo).png().toBuffer());
    expect(mask.data[0]).toBe(0);
    expect(notes[0]).toContain('brightness');
    const strokes = { ...photo, data: photo.data.map((value, i) => (i % 4 === 3 ? value : 0)) };
    expect((await decodeMaskFile(await image(strokes).png().toBuffer())).notes[0]).toContain('opacity');
  });
});
