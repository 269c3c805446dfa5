import { fetch as proxiedFetch } from 'undici';
import { CodedError } from '../../shared/errors.ts';
import { proxyFor } from './proxy.ts';

/** Ranges of files over HTTP, from servers that may redirect, stall, disconnect or lie. */

/** A request that may succeed if repeated. */
export class Interrupted extends Error {
  constructor(
    message: string,
    readonly options: {
      /** The response was complete, but not what was requested. */
      readonly isWrong?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
  }
}

export interface TransportOptions {
  readonly signal: AbortSignal;
  /** A connection that delivers nothing for this long is dropped. */
  readonly stallMs?: number | undefined;
  /** Headers to add for this address only. */
  readonly headersFor?: (url: URL) => Readonly<Record<string, string>>;
}

const redirects = 10;

export interface Answer {
  readonly response: Response;
  /** The headers of this response and of all that led to it. */
  readonly headers: readonly Headers[];
}

/** A response whose body can be read until `end` is called; call `alive` whenever some of it arrives. */
export interface OpenAnswer extends Answer {
  readonly end: () => void;
  readonly alive: () => void;
}

export interface Request {
  readonly range?: { readonly begin: number; readonly end: number };
  /** Whether to stop following redirects at this response. */
  readonly isEnough?: (response: Response) => boolean;
  /** @throws an error that describes an unsuccessful response */
  readonly check: (response: Response) => void;
}

export class Transport {
  readonly #options: TransportOptions;
  readonly #stallMs: number;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#stallMs = options.stallMs ?? 60_000;
  }

  /** @throws Interrupted; what `check` throws; the signal's reason */
  async request(method: 'HEAD' | 'GET', url: URL, asked: Request): Promise<OpenAnswer> {
    const stalled = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(
        () => stalled.abort(new Interrupted(`no data for ${this.#stallMs / 1000} s`)),
        this.#stallMs,
      );
    };
    const end = () => {
      clearTimeout(timer);
      stalled.abort();
    };
    alive();
    try {
      const { range } = asked;
      const answer = await this.#follow(method, url, asked, {
        signal: AbortSignal.any([this.#options.signal, stalled.signal]),
        headers: {
          // Compressed responses have neither the length nor the ranges of the file.
          'accept-encoding': 'identity',
          'user-agent': 'acepp-layers',
          ...(range && { range: `bytes=${range.begin}-${range.end - 1}` }),
        },
      });
      asked.check(answer.response);
      return { ...answer, end, alive };
    } catch (cause) {
      end();
      throw this.#asInterruption(cause);
    }
  }

  /**
   * The bytes of a file of `size` bytes from `begin` up to `end`; it may stop early.
   * @throws like `request`
   */
  async *read(
    url: URL,
    size: number,
    range: { readonly begin: number; readonly end: number },
    check: Request['check'],
  ): AsyncGenerator<Uint8Array> {
    const { response, end, alive } = await this.request('GET', url, { range, check });
    try {
      let skip = rangeStart(response, size, range.begin);
      let left = range.end - range.begin;
      for await (const bytes of response.body ?? []) {
        alive();
        const useful = bytes.subarray(Math.min(skip, bytes.length)).subarray(0, left);
        skip -= Math.min(skip, bytes.length);
        left -= useful.length;
        if (useful.length > 0) yield useful;
        // Stop reading from a server that sends more than it was asked for.
        if (left === 0) return;
      }
    } catch (cause) {
      throw this.#asInterruption(cause);
    } finally {
      end();
    }
  }

  /** Follows redirects manually, because secrets must not reach the storage host. */
  async #follow(
    method: 'HEAD' | 'GET',
    start: URL,
    { isEnough }: Request,
    init: { signal: AbortSignal; headers: Record<string, string> },
  ): Promise<Answer> {
    let url = start;
    const all: Headers[] = [];
    for (let i = 0; i <= redirects; i++) {
      const headers = { ...init.headers, ...this.#options.headersFor?.(url) };
      const response = await send(url, { method, redirect: 'manual', signal: init.signal, headers });
      all.push(response.headers);
      const location = response.headers.get('location');
      const isLast = response.status < 300 || response.status >= 400 || !location || isEnough?.(response);
      if (isLast) return { response, headers: all };
      await response.body?.cancel();
      const next = new URL(location, url);
      if (url.protocol === 'https:' && next.protocol !== 'https:') {
        throw new Interrupted(`${url.host} redirects to ${next.origin}, which is not encrypted`, {
          isWrong: true,
        });
      }
      url = next;
    }
    throw new Interrupted(`${start.host} redirects in a loop`, { isWrong: true });
  }

  #asInterruption(cause: unknown): unknown {
    // Keep the user's own Ctrl-C as it is.
    if (this.#options.signal.aborted) return this.#options.signal.reason;
    if (cause instanceof CodedError || cause instanceof Interrupted) return cause;
    const { message, cause: inner } = cause as Error;
    return new Interrupted(inner instanceof Error ? inner.message || message : message, { cause });
  }
}

/** Uses the proxy that the environment names for the address, if any. */
async function send(
  url: URL,
  init: { method: 'HEAD' | 'GET'; redirect: 'manual'; signal: AbortSignal; headers: Record<string, string> },
): Promise<Response> {
  const proxy = proxyFor(url);
  if (!proxy) return fetch(url, init);
  try {
    // The same interface, but Node.js bundles another version of undici, which does not accept our proxy
    // agent.
    return (await proxiedFetch(url, { ...init, dispatcher: proxy.agent })) as unknown as Response;
  } catch (cause) {
    if (init.signal.aborted) throw cause;
    const { message, cause: inner } = cause as Error;
    const reason = inner instanceof Error ? inner.message || (inner as NodeJS.ErrnoException).code : message;
    if (inner instanceof CodedError) throw inner;
    throw new Interrupted(`through the proxy (${proxy.name}): ${reason}`, { cause });
  }
}

/** For responses that say the server is busy or temporarily failing. */
export function interruptionOf({ status, headers, url }: Response): Interrupted | undefined {
  if (status !== 429 && status !== 408 && status < 500) return undefined;
  return new Interrupted(`${new URL(url).host} answered ${status}`, {
    retryAfterMs: retryAfter(headers),
  });
}

export function retryAfter(headers: Headers): number | undefined {
  const seconds = Number(headers.get('retry-after'));
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
}

/** How many bytes of the response come before `begin`. */
function rangeStart(response: Response, size: number, begin: number): number {
  const { status, headers } = response;
  const lie = (what: string) => new Interrupted(what, { isWrong: true });
  if (status === 206) {
    const range = headers.get('content-range') ?? '';
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
    if (Number(first) !== begin) throw lie(`requested from byte ${begin}, got "${range}"`);
    if (total !== '*' && Number(total) !== size)
      throw lie(`the file should have ${size} bytes, got "${range}"`);
    return 0;
  }
  if (status === 200) {
    const length = headers.get('content-length');
    if (length !== null && Number(length) !== size) {
      throw lie(`the file should have ${size} bytes, the response has ${length}`);
    }
    return begin;
  }
  throw lie(`requested from byte ${begin} of ${size}, got status ${status}`);
}
