import path from 'node:path';
import pino from 'pino';
import { createStream } from 'rotating-file-stream';

/** Messages of one kind logged per minute; the rest are only counted. */
const mostInAMinute = 20;

export interface LogParts {
  readonly home: string;
  /** Level for the terminal. */
  readonly level: pino.Level;
  /** The file rotates at this size; five older files are kept. */
  readonly fileBytes?: number;
}

export interface Log {
  error(error: unknown, text: string): void;
  warn(text: string, error?: unknown): void;
  info(text: string, fields?: object): void;
  debug(fields: object): void;
  close(): Promise<void>;
}

/**
 * Logs to the terminal, and to `home/logs/companion.log` from level info up. Neither gets instructions,
 * pixels or tokens; the details of an unexpected error go to the file, whose folder only this user can read.
 */
export function openLog({ home, level, fileBytes = 5_000_000 }: LogParts): Log {
  const file = createStream('companion.log', {
    path: path.join(home, 'logs'),
    size: `${Math.max(1, Math.round(fileBytes / 1000))}K`,
    maxFiles: 5,
    mode: 0o600,
  });
  // A full disk must not take the companion down over a log line.
  file.on('error', () => {});
  const terminal = pino.destination({ fd: 2, sync: true });
  const logger = pino(
    { base: null, level: 'debug', timestamp: pino.stdTimeFunctions.isoTime },
    pino.multistream([
      { level, stream: terminal },
      { level: level === 'debug' ? 'debug' : 'info', stream: file },
    ]),
  );
  const flood = new Flood((text) => logger.warn(text));
  return {
    error: (err, text) => flood.allows(text) && logger.error({ err }, text),
    warn: (text, err) => flood.allows(text) && logger.warn({ err }, text),
    info: (text, fields = {}) => flood.allows(text) && logger.info(fields, text),
    debug: (fields) => flood.allows('debug') && logger.debug(fields),
    close: () =>
      new Promise<void>((resolve) => {
        flood.end();
        file.once('close', resolve);
        file.end();
        // A stream that can't be written never ends.
        setTimeout(resolve, 1000).unref();
      }),
  };
}

/** Lets a limited number of messages of a kind through per minute, and reports how many it dropped. */
class Flood {
  readonly #say: (text: string) => void;
  readonly #counts = new Map<string, number>();
  #since = performance.now();

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  allows(text: string): boolean {
    if (performance.now() - this.#since > 60_000) this.end();
    // Ids would make every message a kind of its own.
    const kind = text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '*');
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    return count <= mostInAMinute;
  }

  end(): void {
    for (const [kind, count] of this.#counts) {
      if (count > mostInAMinute) this.#say(`${count - mostInAMinute} more within a minute: ${kind}`);
    }
    this.#counts.clear();
    this.#since = performance.now();
  }
}
