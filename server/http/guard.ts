import type { FastifyReply, FastifyRequest } from 'fastify';
import { CodedError } from '../../shared/errors.ts';
import { fastifyPath, type Route, routes } from './routes.ts';
import type { Tokens } from './tokens.ts';

const loopbackNames = ['127.0.0.1', 'localhost', '[::1]'];
const methods = 'GET, POST, PUT, DELETE, OPTIONS';
export const resultHeaders = ['x-acepp-bounds', 'x-acepp-seed', 'x-acepp-notes'];
/** Protocol routes that need no token. */
const open: readonly Route[] = Object.values<Route>(routes).filter(({ isOpen }) => isOpen);

/**
 * A page of another site can point its own name at 127.0.0.1 (DNS rebinding); its browser then treats it as
 * same-origin with the companion. The name in `Host` gives it away.
 * @throws CodedError `host-refused`
 */
export function checkHost(request: FastifyRequest): void {
  if (loopbackHosts(request).includes(request.headers.host ?? '')) return;
  throw new CodedError('host-refused', {
    detail: `The companion does not answer under the name "${request.headers.host ?? ''}".`,
    remedy: `Ask it as ${loopbackHosts(request)[0]}.`,
  });
}

/**
 * UXP sends exactly `file://` as the origin in WebSockets of Premiere 26 (measured by two public bridges; one
 * of them also accepts the scheme `uxp:`). No web page has either origin: browsers send `null` for a local
 * file.
 */
const uxpOrigin = /^(file:\/\/|uxp:[\w.:/-]*)$/;

/**
 * Admits our own page and panels without a web origin (`null`: Figma's sandboxed frame; no header, `file://`
 * or `uxp:`: Photoshop; no header: programs). All of them need the token. Any other page gets nothing, not
 * even health.
 * @throws CodedError `origin-refused`
 */
export function checkOrigin(request: FastifyRequest, reply: FastifyReply): void {
  const { origin } = request.headers;
  reply.header('vary', 'Origin');
  if (origin === undefined) return;
  const own = loopbackHosts(request).map((host) => `http://${host}`);
  if (origin !== 'null' && !uxpOrigin.test(origin) && !own.includes(origin)) {
    throw new CodedError('origin-refused', {
      detail: `Pages of ${origin} may not use the companion.`,
      remedy: 'Use the panel of a host, or the page that the companion serves.',
    });
  }
  reply.headers({
    'access-control-allow-origin': origin,
    'access-control-expose-headers': resultHeaders.join(', '),
  });
}

/** Answers a preflight with what a panel may send. */
export function answerPreflight(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const asked = String(request.headers['access-control-request-headers'] ?? '');
  const own = asked
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => /^x-[a-z0-9-]+$/.test(name));
  return reply
    .code(204)
    .headers({
      'access-control-allow-methods': methods,
      'access-control-allow-headers': ['authorization', 'content-type', 'accept', ...own].join(', '),
      'access-control-allow-private-network': 'true',
      'access-control-max-age': '600',
    })
    .send();
}

/**
 * Whether a request belongs to the protocol. Decided by the route it matched, because `/%761/edits` and an
 * absolute URL also lead there; by its text if it matched none.
 */
export function isOfProtocol({ url, routeOptions }: FastifyRequest): boolean {
  return [routeOptions.url, url].some((text) => text !== undefined && /^\/(v1\/|metrics\b)/.test(text));
}

/**
 * Requires a token for the metrics and for the whole protocol, except what routes.ts opens (health, the
 * OpenAPI description and pairing).
 * @throws CodedError `token-missing`, `token-wrong`
 */
export async function checkToken(
  request: FastifyRequest,
  reply: FastifyReply,
  tokens: Tokens,
): Promise<void> {
  if (!isOfProtocol(request) || isOpen(request)) return;
  const given = /^bearer +(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1];
  if (given !== undefined) {
    await tokens.refresh();
    if (tokens.accepts(given)) return;
  }
  reply.header('www-authenticate', 'Bearer');
  throw given === undefined
    ? new CodedError('token-missing', {
        detail: 'The request has no "Authorization: Bearer" header.',
        remedy: 'Send the token of ACEPP_HOME/token, or open the link that the companion printed.',
      })
    : new CodedError('token-wrong', {
        detail: 'The companion does not know this token.',
        remedy:
          'Pair this panel again, or open the link that the companion printed. Programs read ACEPP_HOME/token.',
      });
}

function isOpen({ method, routeOptions }: FastifyRequest): boolean {
  const asked = method === 'HEAD' ? 'GET' : method;
  return open.some((route) => route.method === asked && fastifyPath(route) === routeOptions.url);
}

/**
 * Where to redirect a page requested under another name of this machine, because the browser would keep
 * separate storage for each name. Undefined if the name is already the canonical one.
 */
export function canonicalAddress(request: FastifyRequest): string | undefined {
  const { method, headers, url, socket } = request;
  const name = `localhost:${socket.localPort}`;
  const isPage = (method === 'GET' || method === 'HEAD') && !isOfProtocol(request) && url.startsWith('/');
  return isPage && headers.host !== name ? `http://${name}${url}` : undefined;
}

function loopbackHosts({ socket }: FastifyRequest): string[] {
  return loopbackNames.map((name) => `${name}:${socket.localPort}`);
}
