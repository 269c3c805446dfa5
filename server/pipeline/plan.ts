import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, moved, type Size } from '../../shared/bounds.ts';
import { cropWindow, nativeSide } from '../../shared/crop-window.ts';
import { columnsOf, type Planar, planar, type Raster, rowsOf } from '../../shared/image.ts';
import { binarise, cutMask, dilate, filledMask, type Mask, maskBounds } from '../../shared/mask.ts';
import { nearestExact, resizeToPlanar } from '../../shared/resize.ts';
import { taskRules } from '../../shared/tasks.ts';
import { type ConditionUnits, joinUnits, layOutUnits, type UnitLayout } from '../../shared/units.ts';
import type { ModelSpec } from '../models/networks.ts';
import type { EditInput } from './input.ts';
import { layerAlpha } from './stitch.ts';

/** Where an edit happens: in the picture, in the model and in the layer. All bounds are in the edit image's pixels. */
export interface EditPlan {
  /** What the model sees of the edit image. */
  readonly window: Bounds;
  /** Where the window lies in the result: the same, but for super-resolution to another size. */
  readonly output: Bounds;
  /** What the layer covers of `output`. */
  readonly layer: Bounds;
  readonly layout: UnitLayout;
  readonly notes: readonly string[];
}

/** Chooses the crop window and the sizes in the model. */
export function planEdit(input: EditInput, spec: ModelSpec): EditPlan {
  const { request, edit, mask, references, task } = input;
  const maxSequence = Math.min(
    request.window?.maxSequence ?? spec.maxSequence,
    spec.fittingSequence ?? Number.POSITIVE_INFINITY,
  );
  const keepPixels = request.keepPixels ?? false;
  const shares = references.reduce((sum, { width, height }) => sum + Math.min(4, width / height), 1);
  const native = nativeSide(maxSequence);
  const asked = { width: request.width ?? native, height: request.height ?? native };
  const picture: Size = edit ?? asked;
  const painted = (mask && maskBounds(mask)) ?? boundsOf(picture);
  const window = edit
    ? cropWindow(painted, picture, {
        context: request.window?.context ?? spec.defaultContext,
        least: nativeSide(maxSequence / shares),
      })
    : boundsOf(picture);
  const enlarged = task === 'super-resolution' && !mask && (request.width || request.height);
  const output = enlarged ? boundsOf(enlargedSize(picture, request)) : window;
  const layout = layOutUnits(output, references, { maxSequence, keepPixels });
  const notes: string[] = [];
  const { target } = layout;
  if (target.width < 0.9 * output.width || target.height < 0.9 * output.height) {
    const alone = layOutUnits(output, [], { maxSequence, keepPixels }).target;
    const worked = `${target.width} x ${target.height}`;
    notes.push(
      alone.width > target.width
        ? `The references lower this edit to ${worked} pixels; without them it would be ${alone.width} x ${alone.height}.`
        : `This edit is computed at ${worked} pixels and scaled to the picture’s ${output.width} x ${output.height}.`,
    );
  }
  return { window, output, layer: enlarged ? output : painted, layout, notes };
}

/** Super-resolution's size; where one side is asked for, the other follows. */
function enlargedSize(
  picture: Size,
  asked: { width?: number | undefined; height?: number | undefined },
): Size {
  const width = asked.width ?? Math.round((picture.width * (asked.height ?? 1)) / picture.height);
  return { width, height: asked.height ?? Math.round((picture.height * width) / picture.width) };
}

export interface TargetInputs {
  /** The window at the model's size, [3, h, w] in [-1, 1]; absent for a picture from nothing. */
  readonly image?: Planar;
  /** [1, h, w]: 1 wherever the layer will show anything. */
  readonly mask: Planar;
}

/** The target's window and mask at the model's size. */
export function readTarget(input: EditInput, plan: EditPlan): TargetInputs {
  const size = plan.layout.target;
  const mask = workMask(input.mask, plan.window, size);
  if (!input.edit) return { mask };
  // Brought down with antialias, not by nearest neighbour as the authors do: what is kept around the mask has to look like the document after it is scaled back.
  const image = resizeToPlanar(rowsOf(input.edit, plan.window), size);
  return { image: input.task === 'recolor' ? greyInside(image, mask) : image, mask };
}

function workMask(mask: Mask | undefined, window: Bounds, size: Size): Planar {
  const work = planar(1, size);
  if (!mask) {
    work.data.fill(1);
    return work;
  }
  // Grown by half a pixel of the model, so that no painted pixel falls between two samples.
  const half = Math.ceil((Math.max(window.width / size.width, window.height / size.height) - 1) / 2);
  const painted = dilate(binarise(cutMask(mask, window), 1), half);
  for (let y = 0; y < size.height; y++) {
    const row = nearestExact(y, window.height, size.height) * window.width;
    for (let x = 0; x < size.width; x++) {
      const value = painted.data[row + nearestExact(x, window.width, size.width)]!;
      work.data[y * size.width + x] = value / 255;
    }
  }
  return work;
}

/** Recolouring shows the model grey inside the mask; a person need not make it so (luma of ITU-R BT.601). */
function greyInside(image: Planar, mask: Planar): Planar {
  const area = image.width * image.height;
  const data = image.data.slice();
  for (let i = 0; i < area; i++) {
    if (mask.data[i] === 0) continue;
    const grey = 0.299 * data[i]! + 0.587 * data[area + i]! + 0.114 * data[2 * area + i]!;
    for (let c = 0; c < 3; c++) data[c * area + i] = grey;
  }
  return { ...image, data };
}

/** References and target joined, as the paper's equation 5. */
export function conditionUnits(
  input: EditInput,
  plan: EditPlan,
  target: TargetInputs,
  withChange: boolean,
): ConditionUnits {
  const references = input.references.map((reference, i) => {
    const { crop, drawn } = plan.layout.references[i]!;
    return resizeToPlanar(rowsOf(reference, crop), drawn);
  });
  const repaintingScale = input.request.repaintingScale ?? taskRules[input.task].repaintingScale;
  return joinUnits(target, references, plan.layout, { repaintingScale, withChange });
}

/** The layer's straight alpha, of the size of `plan.layer`. */
export function planAlpha(input: EditInput, plan: EditPlan): Mask {
  if (!input.mask) return filledMask(plan.layer);
  const alpha = layerAlpha(input.mask, plan.layer, plan.window.width / plan.layout.target.width);
  if (input.edit?.channels === 4) coverGround(alpha, cutMask(input.mask, plan.layer), input.edit, plan.layer);
  return alpha;
}

/** Where the document shows nothing, a softened edge has nothing to go over to: as far as that, the layer covers it as painted. */
function coverGround(alpha: Mask, painted: Mask, edit: Raster, { left, top }: Bounds): void {
  const white = edit.data instanceof Uint16Array ? 65535 : 255;
  for (let y = 0; y < alpha.height; y++) {
    for (let x = 0; x < alpha.width; x++) {
      const i = y * alpha.width + x;
      const there = edit.data[((y + top) * edit.width + x + left) * 4 + 3]! / white;
      alpha.data[i] = Math.max(alpha.data[i]!, Math.min(painted.data[i]!, Math.round(255 * (1 - there))));
    }
  }
}

/** The part of a target-sized image that the layer covers, at least one pixel. */
export function layerPart(image: Planar, plan: EditPlan): Planar {
  const { output, layer } = plan;
  const scaleX = image.width / output.width;
  const scaleY = image.height / output.height;
  const place = moved(layer, { left: -output.left, top: -output.top });
  const left = Math.min(image.width - 1, Math.max(0, Math.floor(place.left * scaleX)));
  const top = Math.min(image.height - 1, Math.max(0, Math.floor(place.top * scaleY)));
  const width = Math.max(1, Math.min(image.width - left, Math.round(place.width * scaleX)));
  const height = Math.max(1, Math.min(image.height - top, Math.round(place.height * scaleY)));
  const columns = columnsOf(image, left, width);
  const part = planar(image.channels, { width, height });
  for (let c = 0; c < image.channels; c++) {
    const from = (c * image.height + top) * width;
    part.data.set(columns.data.subarray(from, from + width * height), c * width * height);
  }
  return part;
}
