import type { EditEventBody } from '../../shared/protocol/events.ts';

/** Seconds. */
export interface SilenceLimits {
  /** Without any timing yet: one step of a 12B model may take 10 minutes on a slow CPU. */
  readonly silence: number;
  /** The minimum, however short the steps are: the machine may sleep or swap. */
  readonly leastSilence: number;
}

/** Anything that takes this many times longer than usual counts as hanging. */
const tooLong = 20;

/** How long an engine may be silent during an edit, based on its events so far. */
export class Watchdog {
  readonly #limits: SilenceLimits;
  readonly #now: () => number;
  #last: number;
  #isBetweenSteps = false;
  #secondsLeft = 0;
  /** From one step to the next. */
  readonly #steps: number[] = [];
  /** The longest time between two events, including loading networks. */
  #longest = 0;

  /** @param now milliseconds of a monotonic clock */
  constructor(limits: SilenceLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#last = now();
  }

  saw(event: EditEventBody): void {
    const now = this.#now();
    const seconds = (now - this.#last) / 1000;
    this.#last = now;
    this.#longest = Math.max(this.#longest, seconds);
    if (event.type === 'step' && this.#isBetweenSteps) this.#steps.push(seconds);
    this.#isBetweenSteps = event.type === 'step' && event.step < event.steps;
    if (event.type === 'stage' || event.type === 'step') this.#secondsLeft = event.secondsLeft ?? 0;
  }

  /** Seconds until the next event must arrive. */
  get patience(): number {
    const { silence, leastSilence } = this.#limits;
    const isKnown = this.#steps.length > 0;
    if (!isKnown && this.#secondsLeft === 0) return silence;
    const usual =
      isKnown && this.#isBetweenSteps ? median(this.#steps) : Math.max(this.#longest, this.#secondsLeft);
    return Math.min(silence, Math.max(leastSilence, tooLong * usual));
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
