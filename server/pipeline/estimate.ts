/** Estimates the seconds left of an edit, from its own steps and from earlier edits on this machine. */

import { tokenSide } from '../../shared/crop-window.ts';
import type { UnitLayout } from '../../shared/units.ts';

/** What an edit has to compute, in units proportional to its time. */
export interface Work {
  /** Joined pixels: references and target. */
  readonly encoding: number;
  /** Multiplications and additions of one step. */
  readonly step: number;
  /** Pixels of the target, decoded and composited. */
  readonly decoding: number;
}

/** Seconds per unit of `Work`, as measured in an edit. */
export type StageTimings = { readonly [stage in keyof Work]: number } & {
  /** Extra seconds of the first edit after loading: to load the model and open its networks. */
  readonly opening?: number | undefined;
};

export function workOf({ joined, target }: UnitLayout, stepOperations: (tokens: number) => number): Work {
  const pixels = joined.width * joined.height;
  return {
    encoding: pixels,
    step: stepOperations(pixels / tokenSide ** 2),
    decoding: target.width * target.height,
  };
}

export class Estimate {
  readonly #steps: number;
  readonly #variants: number;
  readonly #work: Work;
  readonly #earlier: StageTimings | undefined;
  #encodingSeconds: number | undefined;
  #decodingSeconds: number | undefined;
  /** Seconds of each step, with previews and without. */
  readonly #stepSeconds: number[] = [];
  readonly #bareStepSeconds: number[] = [];

  /** @param earlier with the same model and provider; without it nothing is known before the first step */
  constructor(edit: { steps: number; variants: number; work: Work; earlier?: StageTimings | undefined }) {
    this.#steps = edit.steps;
    this.#variants = edit.variants;
    this.#work = edit.work;
    this.#earlier = edit.earlier;
  }

  encoded(seconds: number): void {
    this.#encodingSeconds = seconds;
  }

  stepped(seconds: number, previewSeconds: number): void {
    this.#stepSeconds.push(seconds + previewSeconds);
    this.#bareStepSeconds.push(seconds);
  }

  decoded(seconds: number): void {
    this.#decodingSeconds = seconds;
  }

  /** @returns undefined before the first step if there are no earlier timings; in tenths of a second */
  secondsLeft(variant: number, stepsDone: number): number | undefined {
    const perStep = this.#secondsPerStep();
    if (perStep === undefined) return undefined;
    const encoding = this.#encodingSeconds === undefined ? (this.#as('encoding') ?? 0) : 0;
    const variantsLater = this.#variants - variant - 1;
    const stepsLeft = this.#steps - stepsDone + variantsLater * this.#steps;
    // As long as decoding was never measured, assume it costs as much as a step.
    const decoding = this.#decodingSeconds ?? this.#as('decoding') ?? perStep;
    return Math.round((encoding + stepsLeft * perStep + (variantsLater + 1) * decoding) * 10) / 10;
  }

  /**
   * Timings of a completed edit.
   * @param loading seconds it took to load the model, if this edit was the first with it
   */
  timings(loading?: number): StageTimings {
    const encoding = this.#encodingSeconds! / this.#work.encoding;
    const before = this.#earlier?.encoding ?? 0;
    return {
      // Cached encodings take no time, which says nothing about the next edit.
      encoding: encoding < before / 10 ? before : encoding,
      step: warmMean(this.#bareStepSeconds)! / this.#work.step,
      decoding: this.#decodingSeconds! / this.#work.decoding,
      opening: loading === undefined ? this.#earlier?.opening : loading + this.#openingSeconds(),
    };
  }

  /** Opening the network makes the first step slower than the others. */
  #openingSeconds(): number {
    const [first = 0] = this.#bareStepSeconds;
    return Math.max(0, first - (warmMean(this.#bareStepSeconds) ?? first));
  }

  #secondsPerStep(): number | undefined {
    const measured = warmMean(this.#stepSeconds);
    // The first step includes opening the network: an earlier edit is a better guide.
    return this.#stepSeconds.length < 2 ? (this.#as('step') ?? measured) : measured;
  }

  /** Seconds of a stage of this edit, scaled from the earlier one. */
  #as(stage: keyof Work): number | undefined {
    return this.#earlier && this.#earlier[stage] * this.#work[stage];
  }
}

/** The mean without the first step, which opening a network slows down. */
function warmMean(seconds: readonly number[]): number | undefined {
  const warm = seconds.length > 1 ? seconds.slice(1) : seconds;
  return warm.length === 0 ? undefined : warm.reduce((sum, value) => sum + value, 0) / warm.length;
}
