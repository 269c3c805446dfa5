/**
 * The condition units of LCU++ in pixels (arXiv 2501.02487, section 3, equations 3 to 5): references and target laid
 * side by side, images and masks alike.
 */
import type { Bounds, Size } from './bounds.ts';
import { maxAspect, nativeSide, tokenSide } from './crop-window.ts';
import { type Planar, planar, sideBySide } from './image.ts';

/** A reference that keeps its pixels is scaled down to this share of the target's height at most (`keepPixelsRate`). */
export const keepPixelsRate = 0.8;

export interface UnitLayout {
  /** The target's size in the model, multiples of 16. */
  readonly target: Size;
  /** The references in order: what is shown of each, and the slot it is centred in, multiples of 16. */
  readonly references: readonly ReferencePlace[];
  /** Size of the joined image; the target is its right end. */
  readonly joined: Size;
  readonly tokens: number;
  /** The target's size if there were no references. */
  readonly alone: Size;
}

export interface ReferencePlace {
  /** What is shown of the reference: all of it up to an aspect of 4:1, its middle beyond. */
  readonly crop: Bounds;
  /** Size in pixels at which it is drawn, in the middle of `slot`. */
  readonly drawn: Size;
  readonly slot: Size;
}

export interface LayoutOptions {
  /** In tokens. */
  readonly maxSequence: number;
  /** References no taller than `keepPixelsRate` of the target stay at their size. */
  readonly keepPixels: boolean;
}

/**
 * Decides the sizes at which a target and its references are put before the model: every reference is brought to the
 * target's height (or keeps its pixels, if it is not taller than 0.8 of it), and all are scaled down together until
 * they fit into `maxSequence` tokens. Each part is floored to whole tokens by itself, so that the target starts at a
 * token's edge and comes out pixel for pixel; there is no gutter, as the target alone is decoded. A small target without much
 * to see is scaled up to half of the model's native side.
 */
export function layOutUnits(target: Size, references: readonly Size[], options: LayoutOptions): UnitLayout {
  const layout = fitUnits(target, references, options);
  const alone = references.length === 0 ? layout : fitUnits(target, [], options);
  return { ...layout, alone: alone.target };
}

function fitUnits(
  target: Size,
  references: readonly Size[],
  options: LayoutOptions,
): Omit<UnitLayout, 'alone'> {
  const shown = references.map((size) => {
    const crop = middleOf(size);
    const factor = referenceFactor(crop.height, target.height, options.keepPixels);
    return { crop, width: crop.width * factor, height: crop.height * factor };
  });
  const width = shown.reduce((sum, reference) => sum + reference.width, target.width);
  const useful = nativeSide(options.maxSequence) / 2;
  const enlarge = Math.max(1, useful / Math.sqrt(target.width * target.height));
  const tokens = (width / tokenSide) * (target.height / tokenSide);
  let scale = Math.min(enlarge, Math.sqrt(options.maxSequence / tokens));
  // Sides that would be floored to nothing are kept at one token, which can pass the limit: then all shrinks a bit more.
  for (;;) {
    const layout = layOutAt(scale);
    if (layout.tokens <= options.maxSequence || layout.joined.height === tokenSide) return layout;
    scale *= 0.97;
  }

  function layOutAt(factor: number): Omit<UnitLayout, 'alone'> {
    const height = floorTokens(target.height * factor);
    const places = shown.map(({ crop, width, height: own }) => ({
      crop,
      drawn: {
        width: Math.max(1, Math.min(floorTokens(width * factor), Math.round(width * factor))),
        height: Math.max(1, Math.min(height, Math.round(own * factor))),
      },
      slot: { width: floorTokens(width * factor), height },
    }));
    const targetSize = { width: floorTokens(target.width * factor), height };
    const joined = {
      width: places.reduce((sum, place) => sum + place.slot.width, targetSize.width),
      height,
    };
    return {
      target: targetSize,
      references: places,
      joined,
      tokens: (joined.width / tokenSide) * (joined.height / tokenSide),
    };
  }
}

function referenceFactor(height: number, targetHeight: number, keepPixels: boolean): number {
  if (!keepPixels) return targetHeight / height;
  return Math.min(1, (targetHeight * keepPixelsRate) / height);
}

function middleOf({ width, height }: Size): Bounds {
  const shownWidth = Math.min(width, height * maxAspect);
  const shownHeight = Math.min(height, width * maxAspect);
  return {
    left: Math.floor((width - shownWidth) / 2),
    top: Math.floor((height - shownHeight) / 2),
    width: shownWidth,
    height: shownHeight,
  };
}

function floorTokens(length: number): number {
  // The small term keeps a whole number of tokens whole that lost its last bit to the scale.
  return Math.max(1, Math.floor(length / tokenSide + 1e-6)) * tokenSide;
}

export interface TargetUnit {
  /** [3, h, w] in [-1, 1]; absent for a picture from nothing. */
  readonly image?: Planar | undefined;
  /** [1, h, w]: 1 = generate, 0 = keep. */
  readonly mask: Planar;
}

export interface ConditionUnits {
  /** [3, height, width]: references and what the target shows. */
  readonly edit: Planar;
  /** [3, height, width], in models with a change image only. */
  readonly change?: Planar;
  /** [1, height, width]: 0 on the references. */
  readonly mask: Planar;
}

export interface JoinOptions {
  /** How much of what is under the mask is hidden, 0 to 1. */
  readonly repaintingScale: number;
  /** What lies around a reference that does not fill its slot, in [-1, 1]. */
  readonly padding: number;
  /** Splits the target into `image * mask` and `image * (1 - mask)`, as the FFT model takes it. */
  readonly withChange: boolean;
}

/**
 * Joins references and target into what the model is conditioned on. Nothing is resized here: all of them have the sizes of `layout`.
 * @param references [3, h, w] in [-1, 1], as they are drawn
 */
export function joinUnits(
  { image, mask }: TargetUnit,
  references: readonly Planar[],
  layout: UnitLayout,
  { repaintingScale, padding, withChange }: JoinOptions,
): ConditionUnits {
  const size = layout.target;
  const area = size.width * size.height;
  const edit = planar(3, size);
  const change = planar(3, size);
  for (let i = 0; image && i < edit.data.length; i++) {
    const generate = mask.data[i % area]!;
    const shown = image.data[i]! * (1 - generate * repaintingScale);
    change.data[i] = withChange ? shown * generate : 0;
    edit.data[i] = withChange ? shown * (1 - generate) : shown;
  }
  const slots = layout.references.map(({ slot }) => slot);
  const placed = slots.map((slot, i) => centred(references[i]!, slot, padding));
  const empty = (channels: number) => slots.map((slot) => planar(channels, slot));
  return {
    edit: sideBySide([...placed, edit]),
    mask: sideBySide([...empty(1), mask]),
    ...(withChange && { change: sideBySide([...empty(3), change]) }),
  };
}

/** A reference in the middle of its slot. */
function centred(reference: Planar, slot: Size, padding: number): Planar {
  if (reference.width === slot.width && reference.height === slot.height) return reference;
  const place = planar(3, slot);
  place.data.fill(padding);
  const left = Math.floor((slot.width - reference.width) / 2);
  const top = Math.floor((slot.height - reference.height) / 2);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < reference.height; y++) {
      const from = (c * reference.height + y) * reference.width;
      place.data.set(
        reference.data.subarray(from, from + reference.width),
        (c * slot.height + top + y) * slot.width + left,
      );
    }
  }
  return place;
}
