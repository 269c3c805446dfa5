import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '../../shared/errors.ts';
import { Interrupted } from './transport.ts';

export interface RetryOptions {
  /** Of what is asked for, in what is told. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
  /** What to do where answers are not what was asked for. */
  readonly ifWrong?: string;
  /** What the first wait before another attempt takes. */
  readonly firstDelayMs?: number;
}

export const ifHubIsWrong = 'If HF_ENDPOINT is set, its mirror is broken or has a different file: unset it.';

/** So often a request is made again while not one byte comes. */
const attempts = 8;
const longestDelayMs = 30_000;
/** A server that asks for a longer wait is asked again all the same. */
const longestAskedDelayMs = 300_000;

/**
 * Makes a request until it says that all is there, waiting longer each time that nothing came.
 * @param done how much is there
 * @throws CodedError `hub-unreachable`, or `hub-wrong` where the answers are not what was asked for; the signal's reason
 */
export async function retrying(
  { name, signal, log, ifWrong = ifHubIsWrong, firstDelayMs = 1000 }: RetryOptions,
  request: () => Promise<boolean>,
  done: () => number = () => 0,
): Promise<void> {
  for (let failures = 0, before = done(); ; before = done()) {
    let interruption = new Interrupted('the connection ended early');
    try {
      if (await request()) return;
    } catch (cause) {
      if (!(cause instanceof Interrupted)) throw cause;
      interruption = cause;
    }
    failures = done() > before ? 1 : failures + 1;
    const { isWrong, retryAfterMs } = interruption.options;
    if (failures >= attempts) {
      throw new CodedError(isWrong ? 'hub-wrong' : 'hub-unreachable', {
        detail: `${name} cannot be downloaded: ${interruption.message} (${attempts} times in a row).`,
        remedy: `${isWrong ? ifWrong : 'Check your connection.'} Then run the same command to resume the download.`,
        cause: interruption,
      });
    }
    const backOff = Math.min(longestDelayMs, firstDelayMs * 2 ** (failures - 1));
    const delay = retryAfterMs === undefined ? backOff : Math.min(longestAskedDelayMs, retryAfterMs);
    if (failures > 1 || retryAfterMs !== undefined) {
      log(`${name}: ${interruption.message}; retrying in ${Math.ceil(delay / 1000)} s.`);
    }
    await sleep(delay, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
