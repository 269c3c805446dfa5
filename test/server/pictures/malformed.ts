/**
 * Picture files that are damaged in seeded ways. `npm run fuzz:pictures [count] [seed]` reads 20,000 of them:
 * nothing but `image-invalid`, `too-large` and the like may come of it, and the memory stays level. The suite
 * reads a few hundred.
 */
import sharp from 'sharp';
import { decodePicture, pictureInSRGB } from '../../../server/pictures/decode.ts';
import { cleanMask, decodeMaskFile } from '../../../server/pictures/mask.ts';
import { wrapTIFF } from '../../../server/pictures/tiff.ts';
import { CodedError } from '../../../shared/errors.ts';
import { maskedLayer } from '../../../shared/psd/masked-layer.ts';
import { wholeLayer, writePSD } from '../../../shared/psd/write.ts';
import type { Samples } from '../../../shared/samples.ts';
import { adobeRGB, gammaProfile } from './profiles.ts';

/** Whole numbers from 0 up to a limit, the same for a seed (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export function randomSamples(
  width: number,
  height: number,
  channels: Samples['channels'],
  isDeep: boolean,
  roll: (below: number) => number,
): Samples {
  const count = width * height * channels;
  const data = isDeep ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) data[i] = roll(isDeep ? 65536 : 256);
  return { width, height, channels, data };
}

/** An intact file of each supported kind. */
export async function wholeFiles(): Promise<readonly Buffer[]> {
  const roll = seeded(1);
  const made = (channels: Samples['channels'], isDeep = false) =>
    randomSamples(23, 17, channels, isDeep, roll);
  const image = (samples: Samples, icc?: Uint8Array) =>
    sharp(wrapTIFF({ ...samples, space: samples.channels < 3 ? 'grey' : 'rgb', icc }), {
      ignoreIcc: true,
    }).keepIccProfile();
  const psd = (samples: Samples, isLarge: boolean) => {
    const isDeep = samples.data instanceof Uint16Array;
    const layer = randomSamples(23, 17, samples.channels === 1 ? 2 : 4, isDeep, roll);
    const layers = [
      wholeLayer('Ground', samples),
      maskedLayer('Layer', layer, { left: -3, top: 4, width: 23, height: 17 }),
    ];
    return Buffer.from(
      writePSD({ flat: samples, layers, icc: adobeRGB(), pixelsPerInch: 300, xmp: '<x/>' }, isLarge),
    );
  };
  return [
    await image(made(3), adobeRGB()).png().toBuffer(),
    await image(made(3, true), adobeRGB()).toColourspace('rgb16').png().toBuffer(),
    await image(made(1, true), gammaProfile(1.75)).toColourspace('grey16').png().toBuffer(),
    await image(made(4)).png({ palette: true }).toBuffer(),
    await image(made(3), adobeRGB())
      .withExif({ IFD0: { Artist: 'x' } })
      .jpeg()
      .toBuffer(),
    await image(made(3)).toColourspace('cmyk').jpeg().toBuffer(),
    await image(made(4)).webp().toBuffer(),
    await image(made(4)).tiff({ compression: 'lzw' }).toBuffer(),
    wrapTIFF({ ...made(3, true), space: 'rgb', icc: adobeRGB() }),
    await image(made(4)).avif({ effort: 0 }).toBuffer(),
    await image(made(3)).gif().toBuffer(),
    psd(made(3), false),
    psd(made(3, true), true),
    psd(made(1), true),
  ];
}

const extremes = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** One to six kinds of damage: bits, numbers, pieces removed, duplicated or moved, a missing end. */
export function damaged(file: Buffer, roll: (below: number) => number): Buffer {
  let bytes = Buffer.from(file);
  for (let n = 1 + roll(6); n > 0; n--) {
    // Damage matters most in headers.
    const at = roll(2) ? roll(Math.min(200, bytes.length)) : roll(bytes.length);
    const kind = roll(7);
    if (bytes.length < 8) break;
    if (kind === 0) bytes[at]! ^= 1 << roll(8);
    else if (kind === 1) bytes[at] = roll(256);
    else if (kind === 2)
      bytes.writeUInt32BE(extremes[roll(extremes.length)]!, Math.min(at, bytes.length - 4));
    else if (kind === 3) bytes.writeUInt16LE(extremes[roll(7)]!, Math.min(at, bytes.length - 2));
    else if (kind === 4) bytes = bytes.subarray(0, 1 + roll(bytes.length));
    else if (kind === 5)
      bytes = Buffer.concat([
        bytes.subarray(0, at),
        bytes.subarray(Math.min(bytes.length, at + 1 + roll(40))),
      ]);
    else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(roll(bytes.length))]);
  }
  return bytes;
}

/** The allowed outcomes for a damaged picture or mask. */
const expected = new Set(['image-invalid', 'too-large', 'request-invalid', 'mask-empty', 'mask-faint']);

/**
 * Reads damaged files as picture, as layer and as mask. @returns how often each code came, and what came that
 * must not
 */
export async function readDamaged(count: number, seed: number) {
  const roll = seeded(seed);
  const files = await wholeFiles();
  const codes = new Map<string, number>();
  const wrong: string[] = [];
  for (let i = 0; i < count; i++) {
    const kind = roll(files.length);
    const bytes = damaged(files[kind]!, roll);
    const layer = kind > 10 && roll(2) ? 'Layer' : undefined;
    const read = roll(3)
      ? async () => pictureInSRGB(await decodePicture(bytes, { what: 'picture', layer }), 'picture')
      : async () => cleanMask((await decodeMaskFile(bytes)).mask);
    const code = await read().then(
      () => 'read',
      (error: unknown) => {
        if (error instanceof CodedError && expected.has(error.code)) return error.code;
        wrong.push(`${i} (file ${kind}): ${error instanceof Error ? error.stack : String(error)}`);
        return 'wrong';
      },
    );
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  return { codes: Object.fromEntries(codes), wrong };
}
