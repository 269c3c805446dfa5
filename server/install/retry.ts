import { setTimeout as sleep } from 'node:timers/promises';
import { CodedError } from '../../shared/errors.ts';
import { Interrupted } from './transport.ts';

export interface RetryOptions {
  /** The name of the download, for messages. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
  /** The remedy for responses that are not what was requested. */
  readonly ifWrong?: string;
  /** Delay before the first retry, in milliseconds. */
  readonly firstDelayMs?: number;
}

export const ifHubIsWrong = 'If HF_ENDPOINT is set, its mirror is broken or has a different file: unset it.';

/** Maximum number of attempts without receiving a single byte. */
const attempts = 8;
const longestDelayMs = 30_000;
/** If a server asks for a longer delay, this one is used anyway. */
const longestAskedDelayMs = 300_000;

/**
 * Repeats a request until it reports completion, backing off as long as nothing arrives.
 * @param done how much has arrived so far
 * @throws CodedError `hub-unreachable`, or `hub-wrong` if the responses are not what was requested; the
 * signal's reason
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
