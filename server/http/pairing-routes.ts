import type { FastifyInstance } from 'fastify';
import { askerOf } from './askers.ts';
import type { Pairings } from './pairing.ts';
import { routes } from './routes.ts';
import { serveRoute } from './serve-route.ts';

/** How a panel gets a token; see docs/protocol.md. */
export function addPairingRoutes(app: FastifyInstance, pairings: Pairings): void {
  serveRoute(app, routes.startPairing, ({ request }) => pairings.start(askerOf(request)));

  serveRoute(app, routes.finishPairing, async ({ params, body, request }) => ({
    token: await pairings.finish(params.id, body.code, askerOf(request)),
  }));

  // Needs a token: the page shows who is asking when there is no terminal to do so.
  serveRoute(app, routes.pairings, () => ({ pairings: pairings.list() }));
}
