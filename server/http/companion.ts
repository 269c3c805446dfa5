import type { RequestListener } from 'node:http';
import type pino from 'pino';
import manifest from '../../manifest.json' with { type: 'json' };
import { CodedError } from '../../shared/errors.ts';
import { Engine } from '../engine/engine.ts';
import { Jobs } from '../jobs/jobs.ts';
import { LocalQueue } from '../jobs/local-queue.ts';
import { cudaAdvice } from '../runtime/environment.ts';
import type { Provider } from '../runtime/provider.ts';
import { buildApp } from './app.ts';
import { readConfig } from './config.ts';
import { lockHome } from './home.ts';
import { listenOnLoopback } from './listen.ts';
import { openLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { Tickets } from './page.ts';
import { Pairings } from './pairing.ts';
import { Tokens } from './tokens.ts';

export interface CompanionOptions {
  readonly home: string;
  /** Text of `ACEPP_PORT`: use this port and no other. */
  readonly port?: string | undefined;
  readonly provider?: Provider | undefined;
  /** Level for stderr; `debug` includes the engine's own trace. */
  readonly logLevel: pino.Level;
  /** Prints a message to the terminal. */
  readonly announce: (text: string) => void;
}

export interface Companion {
  /** The page's address with the token in its fragment, which browsers never send. */
  readonly url: string;
  /** A page address without the token, valid for one visit. */
  readonly ticketURL: () => string;
  readonly close: () => Promise<void>;
}

/**
 * Starts everything except the engine, which starts with the first edit.
 * @throws CodedError `port-busy`, `companion-running`, `request-invalid` for an invalid port
 */
export async function startCompanion({
  home,
  port,
  provider,
  logLevel,
  announce,
}: CompanionOptions): Promise<Companion> {
  const ports = port ? [readPort(port)] : manifest.ports;
  const release = await lockHome(home);
  /** In the order in which they are closed. */
  const open: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const one of open.splice(0)) await one();
    await release();
  };
  try {
    const config = await readConfig(home);
    const log = openLog({ home, level: logLevel });
    open.push(() => log.close());
    // Only once the home is locked: two companions starting at once would each create a token.
    const tokens = await Tokens.open(home, announce);
    const engine = new Engine({
      provider,
      log: (text) => log.warn(text),
      trace: (line) => log.debug({ engine: line }),
    });
    const metrics = new Metrics({ jobs: () => jobs, engine });
    const jobs = await Jobs.open({
      home,
      openQueue: (listener) => new LocalQueue({ engine, listener, log: log.warn }),
      budget: { days: config.history.days, bytes: config.history.gigabytes * 1e9 },
      announce,
      log: log.warn,
      onEnd: (record) => {
        metrics.ended(record);
        const { instruction } = record.request;
        log.info('An edit ended.', {
          edit: record.id,
          state: record.life.state,
          ...(record.life.state === 'failed' && { code: record.life.problem.code }),
          ...(config.log.instructions && { instruction }),
        });
      },
    });
    open.unshift(() => jobs.close());
    const tickets = new Tickets();
    const pairings = new Pairings({
      issue: (name) => tokens.issue(name),
      show: (asker, code, seconds) =>
        announce(
          `${new Date().toLocaleTimeString()} ${asker} asks to be paired. If that is you, type ${code} there within ${seconds} seconds.`,
        ),
    });
    const app = await buildApp({ jobs, engine, tokens, tickets, pairings, metrics, logError: log.error });
    open.splice(1, 0, () => app.close());
    const listening = await listenOnLoopback(ports, app.routing as RequestListener);
    open.splice(1, 0, () => listening.close());
    const origin = `http://localhost:${listening.port}`;
    if (listening.port !== ports[0]) {
      announce(`Another program has port ${ports[0]}, so the companion listens on ${listening.port}.`);
    }
    const advice = provider === undefined || provider === 'cuda' ? cudaAdvice() : undefined;
    if (advice) announce(advice);
    return {
      url: `${origin}/#token=${tokens.program}`,
      ticketURL: () => `${origin}/open/${tickets.issue()}`,
      close,
    };
  } catch (error) {
    await close();
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
