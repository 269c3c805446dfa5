import { readFileSync } from 'node:fs';
import path from 'node:path';
import { readEditInput } from '../../server/pipeline/input.ts';
import { packInto, unshuffleMask } from '../../server/pipeline/packing.ts';
import { conditionUnits, planEdit, readTarget } from '../../server/pipeline/plan.ts';
import { randn } from '../../server/sampling/noise.ts';
import { schedule } from '../../server/sampling/sigmas.ts';
import { boundsOf } from '../../shared/bounds.ts';
import { rowsOf } from '../../shared/image.ts';
import { resizeToPlanar } from '../../shared/resize.ts';
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
  const inChannels = line.withChange ? 448 : 384;
  const spec = {
    id: 'reference',
    inChannels,
    maxSequence: 4096,
    defaultContext: 0.5,
    defaultSteps: 1,
    defaultGuidance: 1,
  } as const;
  const plan = planEdit(input, spec);
  const { layout } = plan;
  const whole = (raster: Parameters<typeof rowsOf>[0]) =>
    resizeToPlanar(rowsOf(raster, boundsOf(raster)), raster);
  const mask = input.mask && {
    ...boundsOf(input.mask),
    channels: 1,
    data: Float32Array.from(input.mask.data, (value) => value / 255),
  };
  const references = input.references.map((reference, i) => {
    const { crop } = layout.references[i]!;
    return resizeToPlanar(rowsOf(reference, crop), crop);
  });
  const joined = joinUnits(
    { ...(input.edit && { image: whole(input.edit) }), ...(mask && { mask }) },
    references,
    layout,
    { repaintingScale: input.request.repaintingScale ?? 1, withChange: line.withChange },
  );
  const rows = [compareJoined(folder, line, 'shared/units', joined)];
  const { target } = layout;
  if (target.width === plan.window.width && target.height === plan.window.height) {
    const piped = conditionUnits(input, plan, readTarget(input, plan), line.withChange);
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
