import { randomInt, randomUUID, timingSafeEqual } from 'node:crypto';
import { CodedError } from '../../shared/errors.ts';
import type { Asker } from './askers.ts';

/** A code is valid for as long as it takes to read it off the terminal and type it. */
const secondsOpen = 120;
const triesPerCode = 3;
/**
 * Per asker and minute. A page in a sandboxed frame may ask too; it must neither flood the terminal nor keep
 * guessing.
 */
const maxCodes = 4;
const maxWrong = 3;
const secondsLocked = 60;
/** An asker can use many names; the oldest code makes room. */
const maxOpen = 50;

interface Open {
  readonly asker: Asker;
  readonly code: string;
  readonly asked: Date;
  readonly until: number;
  triesLeft: number;
}

/** A pairing that is waiting for its code, as shown to the user. */
export interface OpenPairing {
  readonly asker: string;
  readonly code: string;
  readonly asked: string;
  readonly seconds: number;
}

export interface PairingParts {
  /** Creates a token for the panel with that name. */
  readonly issue: (name: string) => Promise<string>;
  /** Shows the code where only the user at the machine can see it. */
  readonly show: (asker: string, code: string, seconds: number) => void;
  /** Milliseconds of any monotonic clock. */
  readonly now?: () => number;
}

/** Pairs panels that ask for a token: anyone who can read the terminal gets one, by a six-digit code. */
export class Pairings {
  readonly #parts: Required<PairingParts>;
  readonly #open = new Map<string, Open>();
  /** When each asker requested codes or sent wrong ones in the last minute. */
  readonly #asked = new Map<string, number[]>();
  readonly #wrong = new Map<string, number[]>();

  constructor(parts: PairingParts) {
    this.#parts = { now: () => performance.now(), ...parts };
  }

  /**
   * Shows a new code.
   * @throws CodedError `pairing-limit` for this asker only, and for at most a minute
   */
  start(asker: Asker): { id: string; seconds: number } {
    const now = this.#parts.now();
    this.#refuse(asker, this.#wrong, maxWrong, 'wrong codes were sent');
    this.#refuse(asker, this.#asked, maxCodes, 'codes were asked for');
    this.#count(asker, this.#asked);
    for (const [id, { until }] of this.#open) if (until < now) this.#open.delete(id);
    const [oldest] = this.#open.keys();
    if (this.#open.size >= maxOpen && oldest !== undefined) this.#open.delete(oldest);
    const id = randomUUID();
    const code = String(randomInt(1_000_000)).padStart(6, '0');
    const until = now + secondsOpen * 1000;
    this.#open.set(id, { asker, code, asked: new Date(), until, triesLeft: triesPerCode });
    this.#parts.show(asker.name, code, secondsOpen);
    return { id, seconds: secondsOpen };
  }

  /**
   * Returns a token for the right code.
   * @throws CodedError `pairing-wrong`, `pairing-over`, `pairing-limit`
   */
  async finish(id: string, code: string, asker: Asker): Promise<string> {
    const pairing = this.#open.get(id);
    if (!pairing || pairing.until < this.#parts.now()) {
      throw new CodedError('pairing-over', {
        detail: 'That code is no longer good.',
        remedy: 'Ask for a new code.',
      });
    }
    this.#refuse(asker, this.#wrong, maxWrong, 'wrong codes were sent');
    if (timingSafeEqual(Buffer.from(code.padEnd(6).slice(0, 6)), Buffer.from(pairing.code))) {
      this.#open.delete(id);
      return this.#parts.issue(pairing.asker.name);
    }
    this.#count(asker, this.#wrong);
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

  /** Pairings waiting for their code, oldest first. */
  list(): readonly OpenPairing[] {
    const now = this.#parts.now();
    return [...this.#open.values()]
      .filter(({ until }) => until >= now)
      .map(({ asker, code, asked, until }) => ({
        asker: asker.name,
        code,
        asked: asked.toISOString(),
        seconds: Math.round((until - now) / 1000),
      }));
  }

  #recent(asker: Asker, times: ReadonlyMap<string, readonly number[]>): number[] {
    const since = this.#parts.now() - secondsLocked * 1000;
    return (times.get(asker.key) ?? []).filter((time) => time > since);
  }

  #count(asker: Asker, times: Map<string, number[]>): void {
    const recent = this.#recent(asker, times);
    times.delete(asker.key);
    // Forget the askers that have been quiet longest.
    const [quietest] = times.keys();
    if (times.size >= maxOpen && quietest !== undefined) times.delete(quietest);
    times.set(asker.key, [...recent, this.#parts.now()]);
  }

  #refuse(asker: Asker, times: ReadonlyMap<string, readonly number[]>, limit: number, what: string): void {
    const recent = this.#recent(asker, times);
    const first = recent[recent.length - limit];
    if (first === undefined) return;
    const seconds = Math.max(1, Math.ceil((first + secondsLocked * 1000 - this.#parts.now()) / 1000));
    throw new CodedError('pairing-limit', {
      detail: `${limit} ${what} within a minute.`,
      remedy: `Wait ${seconds} seconds, or paste the link that the companion printed.`,
    });
  }
}
