/**
 * The condition units of LCU++ in pixels (arXiv 2501.02487, section 3, equations 3 to 5): references and
 * target side by side, both images and masks.
 */
import type { Bounds, Size } from './bounds.ts';
import { maxAspect, nativeSide, tokenSide } from './crop-window.ts';
import { type Planar, planar, sideBySide } from './image.ts';

/** A reference that keeps its pixels is at most this share of the target's height (`keepPixelsRate`). */
export const keepPixelsRate = 0.8;

export interface UnitLayout {
  /** The target's size in the model, multiples of 16. */
  readonly target: Size;
  /** The references in order: the visible part of each, and the slot it is centred in, in multiples of 16. */
  readonly references: readonly ReferencePlace[];
  /** Size of the joined image, with the target at its right end. */
  readonly joined: Size;
  readonly tokens: number;
  /** The size the target would have without references. */
  readonly alone: Size;
}

export interface ReferencePlace {
  /** The visible part of the reference: all of it up to an aspect ratio of 4:1, its middle beyond. */
  readonly crop: Bounds;
  /** Size in pixels it is drawn at, centred in `slot`. */
  readonly drawn: Size;
  readonly slot: Size;
}

export interface LayoutOptions {
  /** In tokens. */
  readonly maxSequence: number;
  /** References no taller than `keepPixelsRate` of the target keep their size. */
  readonly keepPixels: boolean;
}

/**
 * Decides the sizes at which the model sees a target and its references. Every reference is scaled to the
 * target's height (or keeps its pixels, if it is at most 0.8 as tall), and all are scaled down together until
 * they fit into `maxSequence` tokens. Each part is floored to whole tokens separately, so the target starts
 * at a token's edge and comes out pixel for pixel; there is no gutter, because only the target is decoded. A
 * small target is scaled up to half of the model's native side.
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
  // Sides that would be floored to zero stay at one token, which can exceed the limit: then everything
  // shrinks a bit more.
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
  // The epsilon keeps a whole number of tokens whole if scaling lost its last bit.
  return Math.max(1, Math.floor(length / tokenSide + 1e-6)) * tokenSide;
}

export interface TargetUnit {
  /** [3, h, w] in [-1, 1]; absent if the picture is generated from nothing. */
  readonly image?: Planar | undefined;
  /** [1, h, w]: 1 = generate, 0 = keep. */
  readonly mask: Planar;
}

export interface ConditionUnits {
  /** [3, height, width]: the references, and the target as far as the model sees it. */
  readonly edit: Planar;
  /** [3, height, width]; only for models with a change image. */
  readonly change?: Planar;
  /** [1, height, width]; 0 on the references. */
  readonly mask: Planar;
}

export interface JoinOptions {
  /** How much of what is under the mask is hidden, 0 to 1. */
  readonly repaintingScale: number;
  /** Padding around a reference that does not fill its slot, in [-1, 1]. */
  readonly padding: number;
  /** Splits the target into `image * mask` and `image * (1 - mask)`, as the FFT model expects. */
  readonly withChange: boolean;
}

/**
 * Joins references and target into the model's condition. Nothing is resized here: everything already has the
 * sizes in `layout`.
 * @param references [3, h, w] in [-1, 1], as drawn
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

/** Centres a reference in its slot. */
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
