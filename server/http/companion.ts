import type { RequestListener } from 'node:http';
import pino from 'pino';
import manifest from '../../manifest.json' with { type: 'json' };
import { CodedError } from '../../shared/errors.ts';
import { Engine } from '../engine/engine.ts';
import { Jobs } from '../jobs/jobs.ts';
import { LocalQueue } from '../jobs/local-queue.ts';
import { cudaAdvice } from '../runtime/environment.ts';
import type { Provider } from '../runtime/provider.ts';
import { buildApp } from './app.ts';
import { listenOnLoopback } from './listen.ts';
import { lockHome } from './lock-home.ts';
import { Tickets } from './page.ts';
import { Pairings } from './pairing.ts';
import { readToken } from './token.ts';

export interface CompanionOptions {
  readonly home: string;
  /** Text of `ACEPP_PORT`: that port and no other. */
  readonly port?: string | undefined;
  readonly provider?: Provider | undefined;
  /** Of stderr; `debug` includes the engine's own trace. */
  readonly logLevel: pino.Level;
  /** Says something to the person at the terminal. */
  readonly announce: (text: string) => void;
}

export interface Companion {
  /** The page's address with the token in its fragment, which browsers never send. */
  readonly url: string;
  /** An address of the page without the token, good for one visit. */
  readonly ticketURL: () => string;
  readonly close: () => Promise<void>;
}

/**
 * Starts everything but the engine, which starts with the first edit.
 * @throws CodedError `port-busy`, `companion-running`, `request-invalid` for a port that is none
 */
export async function startCompanion({
  home,
  port,
  provider,
  logLevel,
  announce,
}: CompanionOptions): Promise<Companion> {
  const ports = port ? [readPort(port)] : manifest.ports;
  const log = pino({ base: null, level: logLevel }, pino.destination({ fd: 2, sync: true }));
  const release = await lockHome(home);
  try {
    // Not before the home is held: two that start at once would make a token each.
    const token = await readToken(home);
    const engine = new Engine({
      provider,
      log: (text) => log.warn(text),
      trace: (line) => log.debug({ engine: line }),
    });
    const logFailure = (text: string, err?: unknown) => log.warn({ err }, text);
    const jobs = await Jobs.open({
      home,
      openQueue: (listener) => new LocalQueue({ engine, listener, log: logFailure }),
      budget: { days: 90, bytes: 10e9 },
      announce,
      log: logFailure,
    });
    const tickets = new Tickets();
    const pairings = new Pairings({
      token,
      show: (code, seconds) =>
        announce(`A panel asks to be paired. If that is you, type ${code} there within ${seconds} seconds.`),
    });
    const logError = (err: unknown, text: string) => log.error({ err }, text);
    const app = await buildApp({ jobs, engine, token, tickets, pairings, log: logError });
    const listening = await listenOnLoopback(ports, app.routing as RequestListener);
    const origin = `http://127.0.0.1:${listening.port}`;
    const advice = provider === undefined || provider === 'cuda' ? cudaAdvice() : undefined;
    if (advice) announce(advice);
    return {
      url: `${origin}/#token=${token}`,
      ticketURL: () => `${origin}/open/${tickets.issue()}`,
      close: async () => {
        await jobs.close();
        await listening.close();
        await app.close();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

function readPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65535) return port;
  throw new CodedError('request-invalid', {
    detail: `ACEPP_PORT is "${text}", which is not a port.`,
    remedy: 'Let it be a number from 1 to 65535, or leave it unset.',
  });
}
