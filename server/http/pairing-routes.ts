import type { FastifyInstance } from 'fastify';
import { pairingCodeSchema } from '../../shared/protocol/pairing-code.ts';
import { askerOf } from './askers.ts';
import type { Pairings } from './pairing.ts';
import { smallBody, type WithId } from './request-values.ts';

const wantedCode = {
  detail: 'The request has no code of six digits.',
  remedy: 'Send {"code": "123456"} with the digits that the companion shows.',
};

/** How a panel gets a token; see docs/protocol.md. */
export function addPairingRoutes(app: FastifyInstance, pairings: Pairings): void {
  app.post('/v1/pairings', (request, reply) => reply.code(201).send(pairings.start(askerOf(request))));

  app.put<WithId>('/v1/pairings/:id', async (request) => {
    const { code } = await smallBody(request, pairingCodeSchema, wantedCode);
    return { token: await pairings.finish(request.params.id, code, askerOf(request)) };
  });

  // With the token alone: the page shows who asks where no terminal does.
  app.get('/v1/pairings', () => ({ pairings: pairings.list() }));
}
