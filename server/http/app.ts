import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import openapi from '../../docs/openapi.json' with { type: 'json' };
import manifest from '../../manifest.json' with { type: 'json' };
import { conventionName, conventions } from '../../shared/conventions.ts';
import { CodedError } from '../../shared/errors.ts';
import type { ModelInfo } from '../../shared/protocol/answers.ts';
import { proofOf } from '../../shared/protocol/proof.ts';
import { familyOf, listAdapters, listModels, type ModelEntry } from '../catalogue/catalogue.ts';
import { asDiskError } from '../disk/durable.ts';
import type { Engine } from '../engine/engine.ts';
import { planEdit, plannedLayers } from '../engine/plan.ts';
import { maxRequestBytes } from '../jobs/intake.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { addEditRoutes } from './edit-routes.ts';
import {
  answerPreflight,
  canonicalAddress,
  checkHost,
  checkOrigin,
  checkToken,
  isOfProtocol,
} from './guard.ts';
import type { Metrics } from './metrics.ts';
import { securityHeaders, servePage, type Tickets } from './page.ts';
import type { Pairings } from './pairing.ts';
import { addPairingRoutes } from './pairing-routes.ts';
import { routes } from './routes.ts';
import { serveRoute } from './serve-route.ts';
import type { Tokens } from './tokens.ts';

export interface AppParts {
  readonly jobs: Jobs;
  readonly engine: Pick<Engine, 'status' | 'device' | 'loaded'>;
  readonly tokens: Tokens;
  readonly tickets: Tickets;
  readonly pairings: Pairings;
  readonly metrics: Metrics;
  /** Logs errors that no client caused. */
  readonly logError: (error: unknown, text: string) => void;
}

/** The companion's routes; see docs/protocol.md. */
export async function buildApp(parts: AppParts): Promise<FastifyInstance> {
  const { engine, tokens, metrics, logError } = parts;
  const app = Fastify({
    bodyLimit: maxRequestBytes,
    frameworkErrors: (error, _request, reply) => sendProblem(reply, asCodedError(error)),
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(securityHeaders);
    if (isOfProtocol(request)) reply.header('cache-control', 'no-store');
    checkHost(request);
    checkOrigin(request, reply);
    if (request.method === 'OPTIONS') return answerPreflight(request, reply);
    const address = canonicalAddress(request);
    if (address !== undefined) return reply.redirect(address, 308);
    await checkToken(request, reply, tokens);
  });
  app.setErrorHandler((thrown: FastifyError, request, reply) => {
    const error = asCodedError(thrown);
    // Log the route, not the URL, which contains search terms or a ticket.
    if (error.code === 'internal') logError(thrown, `${request.method} ${request.routeOptions.url} failed.`);
    return sendProblem(reply, error);
  });
  app.setNotFoundHandler((request) => {
    throw new CodedError('not-found', {
      detail: `There is nothing at ${request.method} ${request.url.split('?', 1)[0]}.`,
      remedy: 'See docs/protocol.md for what there is.',
    });
  });
  // A body is streamed to disk whatever its content type: nothing reads it whole.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));

  serveRoute(app, routes.health, async ({ query, request }) => ({
    name: manifest.name,
    version: manifest.version,
    protocol: manifest.protocol,
    engine: engine.status,
    ...(await proofFor(query, request.socket.localPort, tokens)),
  }));

  serveRoute(app, routes.openapi, () => openapi);

  serveRoute(app, routes.models, async () => ({
    models: await Promise.all((await listModels()).map(describeModel)),
  }));

  serveRoute(app, routes.plan, ({ body }) => planEdit(engine, body.request, plannedLayers(body)));

  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));

  addEditRoutes(app, parts);
  addPairingRoutes(app, parts.pairings);
  await servePage(app, tokens.program, parts.tickets);
  await app.ready();
  return app;
}

/**
 * Proves that this companion knows the token with key id `key`, if a panel asks; see
 * shared/protocol/proof.ts.
 */
async function proofFor(
  { nonce, key: id }: { readonly nonce?: string | undefined; readonly key?: string | undefined },
  port: number | undefined,
  tokens: Tokens,
): Promise<{ proof?: string }> {
  if (nonce === undefined || id === undefined || port === undefined) return {};
  await tokens.refresh();
  const key = tokens.keyOf(id);
  return key === undefined ? {} : { proof: proofOf(key, nonce, port) };
}

/** A model, with the defaults for values a request leaves open. */
async function describeModel(entry: ModelEntry): Promise<ModelInfo> {
  const { id, title, maxSequence } = entry;
  const adapters = await listAdapters(entry);
  const convention = conventions[conventionName(await familyOf(entry), adapters)];
  const { steps, guidance, context, namesReferences } = convention;
  const defaults = { defaultContext: context, defaultSteps: steps, defaultGuidance: guidance };
  return { id, title, maxSequence, ...defaults, namesReferences, adapters };
}

/** An error Fastify raises is the client's fault; any other error without a code is ours. */
function asCodedError(thrown: FastifyError): CodedError {
  const status = thrown.statusCode ?? 500;
  if (thrown instanceof CodedError || status >= 500) return CodedError.from(asDiskError(thrown));
  return new CodedError('request-invalid', {
    detail: `The request cannot be read: ${thrown.message.replace(/\.$/, '')}.`,
    remedy: 'Send it as docs/protocol.md says.',
    cause: thrown,
  });
}

function sendProblem(reply: FastifyReply, error: CodedError): FastifyReply {
  const problem = error.toProblem();
  // Sent as bytes: Fastify adds a charset to text, which JSON does not have (RFC 8259).
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify(problem)));
}
