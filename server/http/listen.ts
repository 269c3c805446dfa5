import { createServer, type RequestListener, type Server } from 'node:http';
import { CodedError } from '../../shared/errors.ts';

export interface Listening {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** Both, because `localhost` is one of them on some systems and the other on others. */
const addresses = ['127.0.0.1', '::1'];

/**
 * Listens on loopback, IPv4 and IPv6, at the first port that no other program has. Where there is no IPv6 it goes on
 * with IPv4 alone.
 * @throws CodedError `port-busy` if none is free
 */
export async function listenOnLoopback(
  ports: readonly number[],
  handler: RequestListener,
): Promise<Listening> {
  for (const port of ports) {
    const servers = await listenAt(port, handler);
    if (servers) return { port, close: () => closeAll(servers) };
  }
  throw new CodedError('port-busy', {
    detail: `Another program listens on ${ports.length > 1 ? 'the ports' : 'port'} ${ports.join(', ')}.`,
    remedy: 'End that program, or let ACEPP_PORT name a free port.',
  });
}

async function listenAt(port: number, handler: RequestListener): Promise<Server[] | undefined> {
  const servers: Server[] = [];
  for (const host of addresses) {
    const server = createServer(handler);
    // An upload of hundreds of megabytes may be slow; a stuck one must still end.
    server.requestTimeout = 600_000;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen({ port, host, ipv6Only: true }, resolve);
      });
      servers.push(server);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const isMissing = code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT';
      if (isMissing && host === '::1') continue;
      await closeAll(servers);
      // Windows answers EACCES for ports that another program has for itself.
      if (code === 'EADDRINUSE' || code === 'EACCES') return undefined;
      throw error;
    }
  }
  return servers;
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(
    servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    ),
  );
}
