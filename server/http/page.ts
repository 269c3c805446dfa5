import { randomBytes } from 'node:crypto';
import path from 'node:path';
import staticFiles from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { CodedError } from '../../shared/errors.ts';
import { projectRoot } from '../disk/paths.ts';

/** Nothing except what the companion serves; images also from memory. */
const contentSecurityPolicy = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const securityHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

/** A browser we open sends its request within seconds; a link nobody followed must not stay valid forever. */
const secondsOpen = 600;

/** Addresses for the browser that the companion opens, each valid for one visit. */
export class Tickets {
  /** Expiry in milliseconds of `performance.now`. */
  readonly #open = new Map<string, number>();

  issue(): string {
    const ticket = randomBytes(24).toString('base64url');
    this.#open.set(ticket, performance.now() + secondsOpen * 1000);
    return ticket;
  }

  redeem(ticket: string): boolean {
    const until = this.#open.get(ticket);
    this.#open.delete(ticket);
    return until !== undefined && performance.now() < until;
  }
}

/** Serves the page's files, and the address that hands the page its token. */
export async function servePage(app: FastifyInstance, token: string, tickets: Tickets): Promise<void> {
  await app.register(staticFiles, { root: path.join(projectRoot, 'dist/browser'), cacheControl: false });
  // Other users of the machine can read a browser's command line, so it holds a ticket, not the token.
  // A HEAD request would use the ticket up without opening anything.
  const route = { exposeHeadRoute: false };
  app.get<{ Params: { ticket: string } }>('/open/:ticket', route, (request, reply) => {
    if (tickets.redeem(request.params.ticket)) return reply.redirect(`/#token=${token}`, 302);
    throw new CodedError('not-found', {
      detail: 'This link was good for one visit.',
      remedy: 'Open the link that the companion printed.',
    });
  });
}
