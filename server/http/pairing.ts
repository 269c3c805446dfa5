import { randomInt, randomUUID } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import { isSameToken } from './token.ts';

/** A code is good for as long as it takes to read it off the terminal and type it. */
const secondsOpen = 120;
const triesPerCode = 3;
/** Codes in any ten minutes: a page of a sandboxed frame may ask too, and must not flood the terminal. */
const maxCodes = 8;
const codesWindow = 600;
/** After so many wrong codes there is no pairing until the next start: a guesser succeeds in 1 of 50,000 runs. */
const maxWrong = 20;

interface Open {
  readonly code: string;
  readonly until: number;
  triesLeft: number;
}

export interface PairingParts {
  readonly token: string;
  /** Shows the code where only the person at the machine sees it. */
  readonly show: (code: string, seconds: number) => void;
  /** Milliseconds of any clock that only goes forward. */
  readonly now?: () => number;
}

/** Panels that ask for the token: who can read the terminal gets it, by six digits. */
export class Pairings {
  readonly #parts: Required<PairingParts>;
  readonly #open = new Map<string, Open>();
  #asked: number[] = [];
  #wrong = 0;

  constructor(parts: PairingParts) {
    this.#parts = { now: () => performance.now(), ...parts };
  }

  /**
   * Shows a new code.
   * @throws CodedError `pairing-limit`
   */
  start(): { id: string; seconds: number } {
    const now = this.#parts.now();
    this.#asked = this.#asked.filter((time) => now - time < codesWindow * 1000);
    if (this.#wrong >= maxWrong) throw shut();
    if (this.#asked.length >= maxCodes) {
      const seconds = Math.ceil((this.#asked[0]! + codesWindow * 1000 - now) / 1000);
      throw new CodedError('pairing-limit', {
        detail: `${maxCodes} codes were asked for in the last ten minutes.`,
        remedy: `Wait ${seconds} seconds, or paste the token that the companion printed.`,
      });
    }
    this.#asked.push(now);
    for (const [id, { until }] of this.#open) if (until < now) this.#open.delete(id);
    const id = randomUUID();
    const code = String(randomInt(1_000_000)).padStart(6, '0');
    this.#open.set(id, { code, until: now + secondsOpen * 1000, triesLeft: triesPerCode });
    this.#parts.show(code, secondsOpen);
    return { id, seconds: secondsOpen };
  }

  /**
   * The token, for the right code.
   * @throws CodedError `pairing-wrong`, `pairing-over`, `pairing-limit`
   */
  finish(id: string, code: string): string {
    if (this.#wrong >= maxWrong) throw shut();
    const pairing = this.#open.get(id);
    if (!pairing || pairing.until < this.#parts.now()) {
      throw new CodedError('pairing-over', {
        detail: 'That code is no longer good.',
        remedy: 'Ask for a new code.',
      });
    }
    if (isSameToken(code, pairing.code)) {
      this.#open.delete(id);
      return this.#parts.token;
    }
    this.#wrong++;
    pairing.triesLeft--;
    if (pairing.triesLeft === 0) this.#open.delete(id);
    throw new CodedError('pairing-wrong', {
      detail: `The code "${code.slice(0, 20)}" is not the one that the companion shows.`,
      remedy:
        pairing.triesLeft > 0
          ? 'Read the six digits in the companion’s window again.'
          : 'Ask for a new code: this one was tried too often.',
    });
  }
}

function shut(): CodedError {
  return new CodedError('pairing-limit', {
    detail: `${maxWrong} wrong codes were sent since the companion started.`,
    remedy: 'Start the companion again, or paste the token that it printed.',
  });
}
