/**
 * Seeded documents of every kind through the companion: format x depth x mode x profile x alpha x orientation
 * x size x mask. What comes back has the document's own samples outside the mask, its profile and its
 * resolution, and the layer lies where the mask is. `npm run documents [count] [seed]` runs 300.
 */
import sharp from 'sharp';
import { decodePicture } from '../../../server/pictures/decode.ts';
import { cleanMask, decodeMaskFile } from '../../../server/pictures/mask.ts';
import type { Picture } from '../../../server/pictures/picture.ts';
import { wrapTIFF } from '../../../server/pictures/tiff.ts';
import { type Mask, maskBounds } from '../../../shared/mask.ts';
import type { Encoding } from '../../../shared/picture-format.ts';
import { wholeLayer, writePSD } from '../../../shared/psd/write.ts';
import { encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import type { Samples } from '../../../shared/samples.ts';
import type { RunningCompanion } from '../http/running-companion.ts';
import { randomSamples } from './malformed.ts';
import { adobeRGB, gammaProfile } from './profiles.ts';

type Roll = (below: number) => number;

interface RandomDocument {
  readonly name: string;
  readonly encoding: Encoding;
  readonly file: Buffer;
  readonly mask: Buffer;
}

const encodings = ['png', 'jpg', 'webp', 'tif', 'avif', 'psd', 'psb'] as const;

async function randomDocument(roll: Roll): Promise<RandomDocument> {
  const encoding = encodings[roll(encodings.length)]!;
  const isLayered = encoding === 'psd' || encoding === 'psb';
  const isDeep = (isLayered || encoding === 'png' || encoding === 'tif') && roll(2) === 0;
  const isGrey = encoding !== 'webp' && encoding !== 'avif' && roll(4) === 0;
  const hasAlpha = encoding !== 'jpg' && roll(3) === 0;
  const channels = ((isGrey ? 1 : 3) + (hasAlpha ? 1 : 0)) as Samples['channels'];
  const icc = roll(2) ? (isGrey ? gammaProfile(1.75) : adobeRGB()) : undefined;
  const orientation = isLayered || encoding === 'avif' ? 1 : 1 + roll(8);
  const pixelsPerInch = [72, 150, 300][roll(3)]!;
  const size = { width: 24 + roll(80), height: 24 + roll(80) };
  const samples = randomSamples(size.width, size.height, channels, isDeep, roll);
  const file = isLayered
    ? Buffer.from(
        writePSD(
          { flat: samples, layers: [wholeLayer('Ground', samples)], icc, pixelsPerInch },
          encoding === 'psb',
        ),
      )
    : await encoded(samples, encoding, { icc, orientation, pixelsPerInch });
  const upright = orientation > 4 ? { width: size.height, height: size.width } : size;
  const { mask, kind } = await randomMask(upright, roll);
  const name = `${encoding} ${isDeep ? 16 : 8} bit, ${channels} channels, ${icc ? 'profile' : 'no profile'}, orientation ${orientation}, ${size.width} x ${size.height}, ${pixelsPerInch} ppi, mask ${kind}`;
  return { name, encoding, file, mask };
}

async function encoded(
  samples: Samples,
  encoding: 'png' | 'jpg' | 'webp' | 'tif' | 'avif',
  {
    icc,
    orientation,
    pixelsPerInch,
  }: { icc: Uint8Array | undefined; orientation: number; pixelsPerInch: number },
): Promise<Buffer> {
  const isGrey = samples.channels < 3;
  const isDeep = samples.data instanceof Uint16Array;
  const space = isGrey ? (isDeep ? 'grey16' : 'b-w') : isDeep ? 'rgb16' : 'srgb';
  const wrapped = wrapTIFF({ ...samples, space: isGrey ? 'grey' : 'rgb', icc, pixelsPerInch });
  const image = sharp(wrapped, { ignoreIcc: true }).toColourspace(space).keepIccProfile();
  // `withMetadata` would convert to sRGB beside it.
  Object.assign((image as unknown as { options: object }).options, { withMetadataOrientation: orientation });
  const turned = orientation > 1 ? image.keepExif() : image;
  switch (encoding) {
    case 'png':
      return turned.png().toBuffer();
    case 'jpg':
      return turned.jpeg({ quality: 90 }).toBuffer();
    case 'webp':
      return turned.webp({ quality: 80 }).toBuffer();
    case 'tif':
      return turned
        .tiff({ compression: 'lzw', xres: pixelsPerInch / 25.4, yres: pixelsPerInch / 25.4 })
        .toBuffer();
    case 'avif':
      return image.avif({ effort: 0 }).toBuffer();
  }
}

async function randomMask({ width, height }: { width: number; height: number }, roll: Roll) {
  const left = roll(width - 12);
  const top = roll(height - 12);
  const right = left + 8 + roll(width - left - 8);
  const bottom = top + 8 + roll(height - top - 8);
  const kind = (['hard', 'soft', 'painted', 'jpeg', 'almost black'] as const)[roll(5)]!;
  const data = new Uint8Array(width * height * (kind === 'painted' ? 4 : 1)).fill(
    kind === 'almost black' ? 3 : 0,
  );
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const depth = Math.min(x - left, right - 1 - x, y - top, bottom - 1 - y) + 1;
      const value = kind === 'soft' ? Math.min(255, depth * 60) : 255;
      if (kind === 'painted') data.set([200, 30, 60, value], (y * width + x) * 4);
      else data[y * width + x] = value;
    }
  }
  const image = sharp(data, { raw: { width, height, channels: kind === 'painted' ? 4 : 1 } });
  const mask = await (kind === 'jpeg' ? image.jpeg({ quality: 90 }) : image.png()).toBuffer();
  return { mask, kind };
}

/** @returns what is wrong with one returned document; undefined if nothing is */
async function faultOf(companion: RunningCompanion, document: RandomDocument): Promise<string | undefined> {
  const file = (data: Buffer): Tensor => ({ dtype: 'U8', shape: [data.length], data });
  const window = { maxSequence: 16 };
  const request = { version: 1, instruction: 'a red circle', steps: 1, seed: 7, model: 'tiny', window };
  const maskName = document.mask[0] === 0xff ? 'mask.jpg' : 'mask.png';
  const tensors = new Map([
    [`edit.${document.encoding}`, file(document.file)],
    [maskName, file(document.mask)],
  ]);
  const id = await companion.send(
    encodeContainer({ metadata: { request: JSON.stringify(request) }, tensors }),
  );
  const last = (await companion.follow(id)).at(-1);
  if (last?.type !== 'done') return JSON.stringify(last);
  const own = await decodePicture(document.file, { what: 'picture' });
  const { mask } = cleanMask((await decodeMaskFile(document.mask)).mask);
  const { bounds } = last.results[0]!;
  if (JSON.stringify(bounds) !== JSON.stringify(maskBounds(mask))) {
    return `bounds ${JSON.stringify(bounds)}, mask ${JSON.stringify(maskBounds(mask))}`;
  }
  const lossy = ['jpg', 'webp', 'avif'].includes(document.encoding);
  const asked = async (query: string, layer?: string) => {
    const answer = await companion.ask(`/v1/edits/${id}/result?as=picture${query}`);
    if (answer.status !== 200) throw new Error(String(answer.body));
    return decodePicture(answer.body, { what: 'result', layer });
  };
  // A flattened PSD has no colour under an alpha of 0: its own layer has.
  const back = await asked('', own.encoding.startsWith('ps') ? 'Picture' : undefined);
  const layered = await asked('&format=psb', 'Picture');
  return (
    frameFault(own, back, 'own format') ??
    (lossy ? undefined : samplesFault(own, back, mask, 'own format')) ??
    frameFault(own, layered, 'PSB') ??
    samplesFault(own, layered, undefined, 'PSB')
  );
}

function frameFault(own: Picture, back: Picture, what: string): string | undefined {
  const { samples } = back;
  if (samples.width !== own.samples.width || samples.height !== own.samples.height) {
    return `${what}: ${samples.width} x ${samples.height}`;
  }
  if (samples.data.BYTES_PER_ELEMENT !== own.samples.data.BYTES_PER_ELEMENT) return `${what}: another depth`;
  const same = own.icc
    ? back.icc !== undefined && Buffer.from(own.icc).equals(back.icc)
    : back.icc === undefined;
  if (!same) return `${what}: another profile`;
  const holdsResolution = back.encoding !== 'webp' && back.encoding !== 'avif';
  if (holdsResolution && Math.abs((own.pixelsPerInch ?? 72) - (back.pixelsPerInch ?? 72)) > 0.6) {
    return `${what}: ${back.pixelsPerInch} ppi, not ${own.pixelsPerInch}`;
  }
  return undefined;
}

/** @param mask where samples may differ; nowhere without one */
function samplesFault(own: Picture, back: Picture, mask: Mask | undefined, what: string): string | undefined {
  const colours = own.samples.channels < 3 ? 1 : 3;
  for (let i = 0; i < own.samples.width * own.samples.height; i++) {
    if (mask && mask.data[i]! > 0) continue;
    for (let c = 0; c < Math.min(own.samples.channels, back.samples.channels); c++) {
      // A layer always has an alpha.
      const [from, to] = [own.samples.channels * i + c, back.samples.channels * i + c];
      if (c < colours || own.samples.channels === back.samples.channels) {
        if (own.samples.data[from] !== back.samples.data[to]) {
          return `${what}: sample ${c} of pixel ${i} is ${back.samples.data[to]}, not ${own.samples.data[from]}`;
        }
      }
    }
  }
  return undefined;
}

/** @returns a line for each document that changed */
export async function runDocuments(
  companion: RunningCompanion,
  count: number,
  roll: Roll,
  log: (text: string) => void = () => {},
): Promise<readonly string[]> {
  const faults: string[] = [];
  for (let i = 0; i < count; i++) {
    const document = await randomDocument(roll);
    const fault = await faultOf(companion, document);
    log(`${i + 1}: ${document.name}: ${fault ?? 'as it was'}`);
    if (fault) faults.push(`${i + 1}: ${document.name}: ${fault}`);
  }
  return faults;
}
