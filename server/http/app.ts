import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';

import openapi from '../../docs/openapi.json' with { type: 'json' };
import manifest from '../../manifest.json' with { type: 'json' };
import { conventions } from '../../shared/conventions.ts';
import { CodedError } from '../../shared/errors.ts';
import type { EngineStatus, ModelInfo } from '../../shared/protocol/answers.ts';
import { listAdapters, listModels, type ModelEntry } from '../catalogue/catalogue.ts';
import { maxRequestBytes, tooLarge } from '../jobs/intake.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { layerPNG } from '../jobs/layer-png.ts';
import { answerPreflight, checkHost, checkOrigin, checkToken, isOfProtocol } from './guard.ts';
import { securityHeaders, servePage, type Tickets } from './page.ts';
import type { Pairings } from './pairing.ts';
import { routes } from './routes.ts';
import { serveRoute } from './serve-route.ts';

export interface AppParts {
  readonly jobs: Jobs;
  readonly engine: { readonly status: EngineStatus };
  readonly token: string;
  readonly tickets: Tickets;
  readonly pairings: Pairings;
  /** What goes wrong here and is no client's doing. */
  readonly log: (error: unknown, text: string) => void;
}

/** The companion: the routes of routes.ts, and the page. */
export async function buildApp({
  jobs,
  engine,
  token,
  tickets,
  pairings,
  log,
}: AppParts): Promise<FastifyInstance> {
  const { archive } = jobs;
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
    checkToken(request, reply, token);
  });
  app.setErrorHandler((thrown: FastifyError, request, reply) => {
    const error = asCodedError(thrown);
    if (error.code === 'internal') log(thrown, `${request.method} ${request.url} failed`);
    return sendProblem(reply, error);
  });
  app.setNotFoundHandler((request) => {
    throw new CodedError('not-found', {
      detail: `There is nothing at ${request.method} ${request.url.split('?', 1)[0]}.`,
      remedy: 'See docs/protocol.md for what there is.',
    });
  });
  // A body is a stream to disk, whatever its type is said to be: nothing reads it as a whole.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));

  serveRoute(app, routes.health, () => ({
    name: manifest.name,
    version: manifest.version,
    protocol: manifest.protocol,
    engine: engine.status,
  }));

  serveRoute(app, routes.openapi, () => openapi);

  serveRoute(app, routes.startPairing, () => pairings.start());

  serveRoute(app, routes.finishPairing, ({ params, body }) => ({
    token: pairings.finish(params.id, body.code),
  }));

  serveRoute(app, routes.startEdit, ({ params, body, request }) => {
    const length = Number(request.headers['content-length'] ?? 0);
    if (length > maxRequestBytes) throw tooLarge(length);
    return jobs.accept(params.id, body);
  });

  serveRoute(app, routes.pollEdit, ({ params, query, reply }) => {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    return jobs.poll(params.id, query.after, query.wait, gone.signal);
  });

  serveRoute(app, routes.cancelEdit, async ({ params }) => {
    const { id, life } = await jobs.cancel(params.id);
    return { id, state: life.state };
  });

  serveRoute(app, routes.result, async ({ params, query, request, reply }) => {
    const { id } = params;
    const { variant } = query;
    reply.header('vary', 'Origin, Accept');
    reply.raw.once('finish', () => {
      if (reply.statusCode === 200)
        void archive.fetched(id).catch((error) => log(error, 'not noted as fetched'));
    });
    if (!request.headers.accept?.includes('image/png')) {
      const { handle, size } = await archive.openResult(id, variant);
      reply.type('application/octet-stream').header('content-length', size);
      return handle.createReadStream({ start: 0 });
    }
    const result = await archive.readResult(id, variant);
    const { bounds = '', seed = '' } = result.metadata;
    reply.type('image/png').headers({ 'x-acepp-bounds': bounds, 'x-acepp-seed': seed });
    return layerPNG(result);
  });

  serveRoute(app, routes.history, ({ query }) => archive.history(query.before, query.q));

  serveRoute(app, routes.models, async () => ({
    models: await Promise.all((await listModels()).map(describeModel)),
  }));

  await servePage(app, token, tickets);
  await app.ready();
  return app;
}

/** A model with the values that count where a request leaves them open. */
async function describeModel(entry: ModelEntry): Promise<ModelInfo> {
  const { id, title, maxSequence } = entry;
  // Of a model that the hub publishes, only its transformer shows the family: `fill` and `fft` have the same numbers.
  const { steps, guidance, context } = conventions[entry.family ?? 'fill'];
  const defaults = { defaultContext: context, defaultSteps: steps, defaultGuidance: guidance };
  return { id, title, maxSequence, ...defaults, adapters: await listAdapters(entry) };
}

/** What Fastify itself refuses is the client's doing; anything else that is not coded is ours. */
function asCodedError(thrown: FastifyError): CodedError {
  const status = thrown.statusCode ?? 500;
  if (thrown instanceof CodedError || status >= 500) return CodedError.from(thrown);
  return new CodedError('request-invalid', {
    detail: `The request cannot be read: ${thrown.message.replace(/\.$/, '')}.`,
    remedy: 'Send it as docs/protocol.md says.',
    cause: thrown,
  });
}

function sendProblem(reply: FastifyReply, error: CodedError): FastifyReply {
  const problem = error.toProblem();
  // As bytes, because Fastify adds a charset to text, which JSON does not have (RFC 8259).
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify(problem)));
}
