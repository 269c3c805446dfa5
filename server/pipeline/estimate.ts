/** Seconds left of an edit, from its own steps and from what earlier edits took on this machine. */

import { tokenSide } from '../../shared/crop-window.ts';
import type { UnitLayout } from '../../shared/units.ts';

/** What an edit has to compute, in units that scale with its time. */
export interface Work {
  /** Joined pixels: references and target. */
  readonly encoding: number;
  /** Multiplications and additions of one step. */
  readonly step: number;
  /** The target's pixels, decoded and put under the mask. */
  readonly decoding: number;
}

/** Seconds for each unit of `Work`, as measured in an edit. */
export type StageTimings = { readonly [stage in keyof Work]: number } & {
  /** Seconds that the first edit after loading takes more: to load the model and to open its networks. */
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
  /** With their previews, and without them. */
  readonly #stepSeconds: number[] = [];
  readonly #bareStepSeconds: number[] = [];

  /** @param earlier of the same model and provider; without it nothing is known before the first step */
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

  /** @returns undefined before the first step where no earlier edit tells; in tenths of a second */
  secondsLeft(variant: number, stepsDone: number): number | undefined {
    const perStep = this.#secondsPerStep();
    if (perStep === undefined) return undefined;
    const encoding = this.#encodingSeconds === undefined ? (this.#as('encoding') ?? 0) : 0;
    const variantsLater = this.#variants - variant - 1;
    const stepsLeft = this.#steps - stepsDone + variantsLater * this.#steps;
    // Where nothing tells yet what decoding takes, it is taken to cost as much as a step.
    const decoding = this.#decodingSeconds ?? this.#as('decoding') ?? perStep;
    return Math.round((encoding + stepsLeft * perStep + (variantsLater + 1) * decoding) * 10) / 10;
  }

  /**
   * Of an edit that came to its end.
   * @param loading seconds that loading the model took, if this edit was the first with it
   */
  timings(loading?: number): StageTimings {
    const encoding = this.#encodingSeconds! / this.#work.encoding;
    const before = this.#earlier?.encoding ?? 0;
    return {
      // What was encoded a moment ago is not encoded again, which tells nothing of the next edit.
      encoding: encoding < before / 10 ? before : encoding,
      step: warmMean(this.#bareStepSeconds)! / this.#work.step,
      decoding: this.#decodingSeconds! / this.#work.decoding,
      opening: loading === undefined ? this.#earlier?.opening : loading + this.#openingSeconds(),
    };
  }

  /** The first step opens the network, which shows against the others. */
  #openingSeconds(): number {
    const [first = 0] = this.#bareStepSeconds;
    return Math.max(0, first - (warmMean(this.#bareStepSeconds) ?? first));
  }

  #secondsPerStep(): number | undefined {
    const measured = warmMean(this.#stepSeconds);
    // The first step opens the network: what an earlier edit took tells more.
    return this.#stepSeconds.length < 2 ? (this.#as('step') ?? measured) : measured;
  }

  /** What a stage of this edit takes, going by the earlier one. */
  #as(stage: keyof Work): number | undefined {
    return this.#earlier && this.#earlier[stage] * this.#work[stage];
  }
}

/** The mean without the first, which is slower by what opening a network takes. */
function warmMean(seconds: readonly number[]): number | undefined {
  const warm = seconds.length > 1 ? seconds.slice(1) : seconds;
  return warm.length === 0 ? undefined : warm.reduce((sum, value) => sum + value, 0) / warm.length;
}
