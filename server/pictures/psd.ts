import type { Bounds, Size } from '../../shared/bounds.ts';
import { boundsOf, intersect } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import { refuseLarge } from '../../shared/limits.ts';
import type { Encoding } from '../../shared/picture-format.ts';
import { emptySamples, type Samples } from '../../shared/samples.ts';
import { convertToSRGB } from './libvips.ts';
import { convertedNote, type DecodeOptions, decoding, type Picture, usableProfile } from './picture.ts';
import { flattenedPlanes, layerPlane, type PSDFile, type PSDLayerRecord, readPSD } from './psd-file.ts';

interface Mode {
  readonly name: string;
  readonly colours: number;
}

/** The supported modes, by their number in the header. */
const modes: Readonly<Record<number, Mode>> = {
  0: { name: 'bitmap', colours: 1 },
  1: { name: 'grey', colours: 1 },
  2: { name: 'indexed', colours: 1 },
  3: { name: 'RGB', colours: 3 },
  4: { name: 'CMYK', colours: 4 },
  8: { name: 'duotone', colours: 1 },
  9: { name: 'Lab', colours: 3 },
};

/** Straight planes of samples: the colours, and alpha if there is one. */
interface Planes extends Size {
  readonly colours: readonly (Uint8Array | Uint16Array)[];
  readonly alpha?: Uint8Array | Uint16Array;
}

/**
 * Decodes the flattened picture of a PSD, or one of its layers on the document's canvas.
 * @throws CodedError `image-invalid`, `too-large`, `request-invalid` if it doesn't have the layer
 */
export async function decodePSD(
  bytes: Uint8Array,
  encoding: Encoding,
  { what, layer }: DecodeOptions,
): Promise<Picture> {
  const file = await decoding(what, async () => readPSD(bytes));
  refuseLarge(file, what);
  const mode = readableMode(file, what);
  const record = layer === undefined ? undefined : findLayer(file, layer, what);
  if (!record && !file.hasFlattened) {
    throw new CodedError('image-invalid', {
      detail: `The ${what} was saved without its flattened picture.`,
      remedy: 'Save it with "Maximize Compatibility", or name one of its layers.',
    });
  }
  if (record) refuseLarge(record.bounds, `layer "${record.path}"`);
  const planes = await decoding(what, async () =>
    record ? layerPlanes(file, record, mode) : flattened(bytes, file, mode),
  );
  const { samples, icc, notes } = await toSamples(planes, file, what);
  return {
    encoding,
    samples,
    ...(icc && { icc }),
    ...(file.pixelsPerInch && { pixelsPerInch: file.pixelsPerInch }),
    orientation: 1,
    notes,
  };
}

/** @throws CodedError `image-invalid`, `too-large` */
export async function psdSize(bytes: Uint8Array, what: string): Promise<Size> {
  const { width, height } = await decoding(what, async () => readPSD(bytes));
  refuseLarge({ width, height }, what);
  return { width, height };
}

function readableMode({ mode, depth }: PSDFile, what: string): Mode {
  const found = modes[mode];
  if (!found) {
    throw new CodedError('image-invalid', {
      detail: `The ${what} is a PSD of ${mode === 7 ? 'the mode Multichannel' : `an unknown mode, ${mode}`}, which is not read.`,
      remedy: 'Convert it to RGB and save it again.',
    });
  }
  if (depth === 8 || depth === 16 || (depth === 1 && mode === 0)) return found;
  throw new CodedError('image-invalid', {
    detail: `The ${what} is a PSD of ${depth} bits a channel, which are not read.`,
    remedy: 'Convert it to 16 bits and save it again.',
  });
}

function findLayer({ layers }: PSDFile, path: string, what: string): PSDLayerRecord {
  const found = layers.filter((layer) => layer.path === path);
  const [layer] = found;
  if (layer && found.length === 1 && !layer.isGroup) return layer;
  const names = layers.filter(({ isGroup }) => !isGroup).map((each) => `"${each.path}"`);
  const list =
    names.length > 20 ? `${names.slice(0, 20).join(', ')} and ${names.length - 20} more` : names.join(', ');
  const detail =
    found.length > 1
      ? `The ${what} has ${found.length} layers named "${path}".`
      : layer
        ? `"${path}" is a group of the ${what}.`
        : `The ${what} has no layer "${path}".`;
  throw new CodedError('request-invalid', {
    detail,
    remedy: names.length
      ? `Name one of these, renamed where two are the same: ${list}.`
      : 'It has no layers.',
  });
}

function flattened(bytes: Uint8Array, file: PSDFile, mode: Mode): Planes {
  const { width, height, channels, hasTransparency } = file;
  if (channels < mode.colours) throw new Error(`it has ${channels} channels`);
  const all = flattenedPlanes(bytes, file);
  const size = all.length / channels;
  const plane = (i: number) => toNative(all.subarray(i * size, (i + 1) * size), file);
  const colours = Array.from({ length: mode.colours }, (_, i) => plane(i));
  // Without layers, an extra channel is a saved selection.
  if (!hasTransparency || channels === mode.colours) return { width, height, colours };
  const alpha = plane(mode.colours);
  for (const colour of colours) removeWhite(colour, alpha);
  return { width, height, colours, alpha };
}

/**
 * Photoshop composites the flattened picture on white where it is transparent (as does psd-tools,
 * `psd_tools/api/pil_io.py`).
 */
function removeWhite(colour: Uint8Array | Uint16Array, alpha: Uint8Array | Uint16Array): void {
  const white = colour instanceof Uint16Array ? 65535 : 255;
  for (let i = 0; i < colour.length; i++) {
    const a = alpha[i]!;
    if (a === 0 || a === white) continue;
    colour[i] = Math.min(white, Math.max(0, Math.round(white - ((white - colour[i]!) * white) / a)));
  }
}

function layerPlanes(file: PSDFile, layer: PSDLayerRecord, { colours: count }: Mode): Planes {
  const canvas = boundsOf(file);
  const place = (id: number, bounds: Bounds, outside: number) => {
    const data = layer.channels.get(id);
    if (!data) return undefined;
    const own = toNative(layerPlane(data, bounds, file), { ...file, ...bounds });
    const white = own instanceof Uint16Array ? 65535 : 255;
    const on = emptySamples(file, 1, own instanceof Uint16Array).data.fill(
      Math.round((outside * white) / 255),
    );
    const shared = intersect(canvas, bounds);
    for (let y = shared.top; y < shared.top + shared.height && shared.width > 0; y++) {
      const from = (y - bounds.top) * bounds.width + shared.left - bounds.left;
      on.set(own.subarray(from, from + shared.width), y * file.width + shared.left);
    }
    return on;
  };
  const { bounds, mask } = layer;
  const colours = Array.from({ length: count }, (_, id) => place(id, bounds, 0));
  const isDeep = file.depth === 16;
  const alpha = place(-1, bounds, 0) ?? coverage(file, bounds, isDeep);
  const white = isDeep ? 65535 : 255;
  const hidden = mask && !mask.isOff ? place(-2, mask.bounds, mask.outside) : undefined;
  if (hidden) for (let i = 0; i < alpha.length; i++) alpha[i] = Math.round((alpha[i]! * hidden[i]!) / white);
  if (colours.some((plane) => !plane)) throw new Error(`the layer "${layer.path}" has no pixels`);
  return { width: file.width, height: file.height, colours: colours.flatMap((plane) => plane ?? []), alpha };
}

/** Alpha of a layer without transparency, such as a background: opaque inside its bounds. */
function coverage(file: PSDFile, bounds: Bounds, isDeep: boolean): Uint8Array | Uint16Array {
  const { data } = emptySamples(file, 1, isDeep);
  const { left, top, width, height } = intersect(boundsOf(file), bounds);
  for (let y = top; y < top + height; y++)
    data.fill(isDeep ? 65535 : 255, y * file.width + left, y * file.width + left + width);
  return data;
}

/** Converts big-endian 16 bits to numbers, and a bitmap's bits, where 1 is black, to 0 and 255. */
function toNative(
  plane: Uint8Array,
  { depth, width }: Pick<PSDFile, 'depth' | 'width'>,
): Uint8Array | Uint16Array {
  if (depth === 16) {
    return Uint16Array.from({ length: plane.length / 2 }, (_, i) => (plane[2 * i]! << 8) | plane[2 * i + 1]!);
  }
  if (depth === 8) return plane.slice();
  const row = Math.ceil(width / 8);
  return Uint8Array.from({ length: (plane.length / row) * width }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return (plane[y * row + (x >> 3)]! >> (7 - (x & 7))) & 1 ? 0 : 255;
  });
}

async function toSamples(
  { width, height, colours, alpha }: Planes,
  file: PSDFile,
  what: string,
): Promise<Pick<Picture, 'samples' | 'icc' | 'notes'>> {
  const isDeep = colours[0] instanceof Uint16Array;
  const planes =
    file.mode === 2 ? [0, 1, 2].map((c) => colours[0]!.map((i) => file.palette[c * 256 + i] ?? 0)) : colours;
  const all = alpha ? [...planes, alpha] : planes;
  const count = width * height * all.length;
  const data = isDeep ? new Uint16Array(count) : new Uint8Array(count);
  for (const [c, plane] of all.entries())
    for (let i = 0; i < width * height; i++) data[i * all.length + c] = plane[i]!;
  const size = { width, height };
  if (file.mode === 4 || file.mode === 9) {
    const sign = isDeep ? 0x8000 : 0x80;
    // In PSD, 0 is full ink; in TIFF it is none. TIFF's a and b are signed.
    for (let i = 0; i < data.length; i++) {
      const c = i % all.length;
      if (file.mode === 4 && c < 4) data[i] = (isDeep ? 65535 : 255) - data[i]!;
      if (file.mode === 9 && (c === 1 || c === 2)) data[i] = data[i]! ^ sign;
    }
    const space = file.mode === 4 ? 'cmyk' : 'lab';
    const raster = await convertToSRGB(
      { ...size, channels: all.length, data, space, icc: file.mode === 4 ? file.icc : undefined },
      what,
    );
    return { samples: raster, notes: [convertedNote(what, space === 'cmyk' ? 'CMYK' : 'Lab')] };
  }
  const samples: Samples = { ...size, channels: all.length as Samples['channels'], data };
  const icc = usableProfile(file.icc, samples);
  const notes = file.mode === 8 ? [`The ${what} is a duotone; its grey is used.`] : [];
  return { samples, ...(icc && { icc }), notes };
}
