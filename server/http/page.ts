import { randomBytes } from 'node:crypto';
import path from 'node:path';
import staticFiles from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { CodedError } from '../../shared/errors.ts';
import { projectRoot } from '../disk/paths.ts';

/** Nothing but what the companion serves; pictures also from memory. */
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

/** A browser that is opened asks within seconds; a link that nobody followed must not stay open for ever. */
const secondsOpen = 600;

/** Addresses for the browser that the companion opens, each good for one visit. */
export class Tickets {
  /** Until when, in milliseconds of `performance.now`. */
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

/** The page's files, and the way to it that brings the token along. */
export async function servePage(app: FastifyInstance, token: string, tickets: Tickets): Promise<void> {
  await app.register(staticFiles, { root: path.join(projectRoot, 'dist/browser'), cacheControl: false });
  // The command line of a browser can be read by other users of the machine: so it holds a ticket and not the token.
  // A HEAD would use it up without opening anything.
  const route = { exposeHeadRoute: false };
  app.get<{ Params: { ticket: string } }>('/open/:ticket', route, (request, reply) => {
    if (tickets.redeem(request.params.ticket)) return reply.redirect(`/#token=${token}`, 302);
    throw new CodedError('not-found', {
      detail: 'This link was good for one visit.',
      remedy: 'Open the link that the companion printed.',
    });
  });
}
