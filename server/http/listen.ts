import { createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { CodedError } from '../../shared/errors.ts';

export interface Listening {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** Both, because `localhost` resolves to one on some systems and to the other on others. */
const addresses = ['127.0.0.1', '::1'];

/**
 * Listens on loopback, IPv4 and IPv6, at the first port that is free. Without IPv6 it uses IPv4 alone.
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
    // Let a request without "Host" through, so that it is refused with a reason like one with a wrong name.
    const server = createServer({ requireHostHeader: false }, handler);
    // An upload of hundreds of megabytes may be slow, but a stuck one must end.
    server.requestTimeout = 600_000;
    server.on('clientError', refuseUnreadable);
    server.on('checkExpectation', (request) =>
      refuse(request.socket, 417, 'it expects what nothing here does'),
    );
    server.on('connect', (_request, socket) => refuse(socket, 400, 'this is no proxy'));
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
      // Windows returns EACCES for ports that another program holds exclusively.
      if (code === 'EADDRINUSE' || code === 'EACCES') return undefined;
      throw error;
    }
  }
  return servers;
}

/** Input that isn't HTTP never becomes a request: Node reports it here, and would answer without a reason. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET') return void socket.destroy();
  const status = parserStatus[error.code ?? ''] ?? 400;
  refuse(socket, status, `its HTTP is wrong (${error.code ?? 'unknown'})`);
}

/** The status codes Node would send (lib/_http_server.js, socketOnError). */
const parserStatus: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

function refuse(socket: Duplex, status: number, why: string): void {
  if (!socket.writable) return void socket.destroy();
  const error = new CodedError('request-invalid', {
    detail: `The request cannot be read: ${why}.`,
    remedy: 'Send it as docs/protocol.md says.',
  });
  const body = JSON.stringify({ ...error.toProblem(), status });
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
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
