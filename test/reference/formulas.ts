import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';
import { cleanText } from '../../server/models/clean-text.ts';
import { inChannels } from '../../server/models/networks.ts';
import { readUnits } from '../../server/pipeline/condition.ts';
import { readEditInput, sizesOf } from '../../server/pipeline/input.ts';
import { packInto, unshuffleMask } from '../../server/pipeline/packing.ts';
import { resolveEdit } from '../../server/pipeline/resolve.ts';
import { randn } from '../../server/sampling/noise.ts';
import { schedule } from '../../server/sampling/sigmas.ts';
import { boundsOf, type Size } from '../../shared/bounds.ts';
import { type Planar, planar, type Raster } from '../../shared/image.ts';
import { nearestExact, resizeToPlanar, rowsOf } from '../../shared/resize.ts';
import { decodeContainer } from '../../shared/safetensors.ts';
import { type ConditionUnits, joinUnits } from '../../shared/units.ts';
import type { LineOf } from './lines.ts';
import { compare, type Row, readArrays, withinAbsolute } from './measure.ts';

const noiseLimit = 1e-6;
const scheduleLimit = 1e-6;
/** Of pixels in [-1, 1], resized in float32. */
const pixelLimit = 1e-5;

/** Tensors are named after seed and count. */
export function compareNoise(folder: string, line: LineOf<'noise'>): Row[] {
  const array = readArrays(folder, line.arrays);
  const ours: number[] = [];
  const reference: number[] = [];
  for (const name of array.names) {
    const [seed = 0, count = 0] = name.split('.').map(Number);
    ours.push(...randn(seed, count));
    reference.push(...array.floats(name));
  }
  return [withinAbsolute(line, '', ours, reference, noiseLimit)];
}

/** Tensors are named after steps and tokens. */
export function compareSchedule(folder: string, line: LineOf<'schedule'>): Row[] {
  const array = readArrays(folder, line.arrays);
  const ours: number[] = [];
  const reference: number[] = [];
  for (const name of array.names) {
    const [steps = 0, tokens = 0] = name.split('.').map(Number);
    ours.push(...schedule(line.name, steps, tokens));
    reference.push(...array.floats(name));
  }
  return [withinAbsolute(line, '', ours, reference, scheduleLimit)];
}

/**
 * The authors' formulas on sampled positions: as `joinUnits` computes them from the pixels and, where nothing is scaled, as
 * the pipeline comes to them from the request. (Scaled down, the pipeline's target is smoothed, and meant to be.)
 */
export async function compareUnits(folder: string, line: LineOf<'units'>): Promise<Row[]> {
  const input = await readEditInput(decodeContainer(readFileSync(path.join(folder, line.request))));
  const columns = line.withChange ? inChannels.fft : inChannels.inpaint;
  const model = {
    id: 'reference',
    family: line.withChange ? 'fft' : 'fill',
    inChannels: columns,
    maxSequence: 4096,
    adapters: [],
  } as const;
  const edit = resolveEdit(input.request, sizesOf(input), model);
  const { layout } = edit;
  const mask = input.mask
    ? {
        ...boundsOf(input.mask),
        channels: 1,
        data: Float32Array.from(input.mask.data, (value) => value / 255),
      }
    : filled(planar(1, layout.target), 1);
  const target = {
    ...(input.edit && { image: resizeNearest(asPlanar(input.edit), layout.target) }),
    mask: resizeNearest(mask, layout.target),
  };
  const references = input.references.map((reference, i) => {
    const { crop, drawn } = layout.references[i]!;
    return resizeToPlanar(rowsOf(reference, crop), drawn);
  });
  const repaintingScale = input.request.repaintingScale ?? 1;
  const options = { repaintingScale, padding: edit.padding, withChange: line.withChange };
  const joined = joinUnits(target, references, layout, options);
  const rows = [compareJoined(folder, line, 'shared/units', joined)];
  if (layout.target.width === edit.window.width && layout.target.height === edit.window.height) {
    const units = readUnits(input, edit);
    const piped = joinUnits(units.target, units.references, layout, {
      ...options,
      repaintingScale: edit.repaintingScale,
    });
    rows.push(compareJoined(folder, line, 'server/pipeline', piped));
  }
  return rows;
}

function compareJoined(folder: string, line: LineOf<'units'>, part: string, units: ConditionUnits): Row {
  const { width, height } = units.edit;
  if (line.joined.join() !== [width, height].join()) {
    throw new Error(
      `${line.configuration}: joined to ${width}x${height}, the authors to ${line.joined.join('x')}`,
    );
  }
  const expected = readArrays(folder, line.expected);
  const ours: number[] = [];
  const reference: number[] = [];
  for (const [name, data] of Object.entries({
    edit: units.edit.data,
    mask: units.mask.data,
    packed: packedMask(units),
    ...(line.withChange && { change: units.change?.data ?? new Float32Array() }),
  })) {
    for (const position of expected.integers(`${name}.positions`)) ours.push(data[position] ?? Number.NaN);
    reference.push(...expected.floats(name));
  }
  return withinAbsolute(line, part, ours, reference, pixelLimit);
}

const asPlanar = (raster: Raster): Planar => resizeToPlanar(rowsOf(raster, boundsOf(raster)), raster);

function filled(image: Planar, value: number): Planar {
  image.data.fill(value);
  return image;
}

/** Resizes a planar image like torch's `F.interpolate(mode='nearest-exact')`. */
function resizeNearest(image: Planar, size: Size): Planar {
  if (image.width === size.width && image.height === size.height) return image;
  const result = planar(image.channels, size);
  let to = 0;
  for (let c = 0; c < image.channels; c++) {
    for (let y = 0; y < size.height; y++) {
      const from = (c * image.height + nearestExact(y, image.height, size.height)) * image.width;
      for (let x = 0; x < size.width; x++) {
        result.data[to++] = image.data[from + nearestExact(x, image.width, size.width)]!;
      }
    }
  }
  return result;
}

/** Whole texts, as the authors clean them for the fully tuned model. */
export function compareCleaned(folder: string, line: LineOf<'clean'>): Row[] {
  const json: unknown = JSON.parse(readFileSync(path.join(folder, line.texts), 'utf8'));
  const pairs = v.parse(v.array(v.tuple([v.string(), v.string()])), json);
  const wrong = pairs.filter(([text, cleaned]) => cleanText(text) !== cleaned);
  for (const [text, cleaned] of wrong.slice(0, 5)) {
    console.error(JSON.stringify({ text, cleaned, ours: cleanText(text) }));
  }
  return [
    {
      title: line.title,
      configuration: line.configuration,
      values: pairs.length,
      maxError: wrong.length,
      relativeError: wrong.length / pairs.length,
      limit: 'all equal',
      ok: wrong.length === 0,
    },
  ];
}

/** [tokens, 256] */
function packedMask({ mask }: ConditionUnits): Float32Array {
  const packed = new Float32Array(mask.data.length);
  packInto(packed, 256, 0, unshuffleMask(mask));
  return packed;
}

/** Peak signal to noise of values in [0, 1], in decibels. */
export function psnr(ours: Float32Array, reference: Float32Array): number {
  const { values } = compare(ours, reference);
  const squares = ours.reduce((sum, value, i) => sum + (value - reference[i]!) ** 2, 0);
  return -10 * Math.log10(squares / values);
}
