import type { Readable } from 'node:stream';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';

import manifest from '../../manifest.json' with { type: 'json' };
import { CodedError } from '../../shared/errors.ts';
import type { EngineStatus } from '../../shared/protocol/answers.ts';
import { listAdapters, listModels } from '../catalogue/catalogue.ts';
import { maxRequestBytes, tooLarge } from '../jobs/intake.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { layerPNG } from '../jobs/layer-png.ts';
import { answerPreflight, checkHost, checkOrigin, checkToken, isOfProtocol } from './guard.ts';
import { securityHeaders, servePage, type Tickets } from './page.ts';
import type { Pairings } from './pairing.ts';

export interface AppParts {
  readonly jobs: Jobs;
  readonly engine: { readonly status: EngineStatus };
  readonly token: string;
  readonly tickets: Tickets;
  readonly pairings: Pairings;
  /** What goes wrong here and is no client's doing. */
  readonly log: (error: unknown, text: string) => void;
}

/** A poll is answered after this at the latest, before proxies and hosts give up. */
const longestWait = 30;

type WithId = { Params: { id: string } };

/** The companion's routes; see docs/protocol.md. */
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

  app.get('/v1/health', () => ({
    name: manifest.name,
    version: manifest.version,
    protocol: manifest.protocol,
    engine: engine.status,
  }));

  app.post('/v1/pairings', (_request, reply) => reply.code(201).send(pairings.start()));

  app.put<WithId>('/v1/pairings/:id', async (request) => ({
    token: pairings.finish(request.params.id, await pairingCode(request)),
  }));

  app.put<WithId>('/v1/edits/:id', async (request, reply) => {
    const length = Number(request.headers['content-length'] ?? 0);
    if (length > maxRequestBytes) throw tooLarge(length);
    const body = (request.body as Readable | undefined) ?? request.raw;
    return reply.code(202).send(await jobs.accept(editId(request), body));
  });

  app.get<WithId>('/v1/edits/:id', async (request, reply) => {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const wait = Math.min(longestWait, queryNumber(request, 'wait'));
    return jobs.poll(editId(request), queryNumber(request, 'after'), wait, gone.signal);
  });

  app.delete<WithId>('/v1/edits/:id', async (request, reply) => {
    const { id, life } = await jobs.cancel(editId(request));
    return reply.code(202).send({ id, state: life.state });
  });

  app.get<WithId>('/v1/edits/:id/result', async (request, reply) => {
    const id = editId(request);
    const variant = queryNumber(request, 'variant');
    reply.header('vary', 'Origin, Accept');
    reply.raw.once('finish', () => {
      if (reply.statusCode === 200)
        void archive.fetched(id).catch((error) => log(error, 'not noted as fetched'));
    });
    if (!request.headers.accept?.includes('image/png')) {
      const { handle, size } = await archive.openResult(id, variant);
      return reply
        .type('application/octet-stream')
        .header('content-length', size)
        .send(handle.createReadStream({ start: 0 }));
    }
    const result = await archive.readResult(id, variant);
    const { bounds = '', seed = '' } = result.metadata;
    reply.type('image/png').headers({ 'x-acepp-bounds': bounds, 'x-acepp-seed': seed });
    return layerPNG(result);
  });

  app.get('/v1/edits', (request) =>
    archive.history(queryText(request, 'before')?.toLowerCase(), queryText(request, 'q')),
  );

  app.get('/v1/models', async () => ({
    models: await Promise.all(
      (await listModels()).map(async (entry) => {
        const { folder: _, quantized: __, ...model } = entry;
        return { ...model, adapters: await listAdapters(entry) };
      }),
    ),
  }));

  await servePage(app, token, tickets);
  await app.ready();
  return app;
}

function editId(request: FastifyRequest<WithId>): string {
  const { id } = request.params;
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return id.toLowerCase();
  throw new CodedError('request-invalid', {
    detail: `The id "${id}" of the edit is not a UUID.`,
    remedy: 'Name each edit by a new UUID, such as 123e4567-e89b-42d3-a456-426614174000.',
  });
}

/** `{"code": "123456"}` out of a body that is read no further than such a text is long. */
async function pairingCode(request: FastifyRequest): Promise<string> {
  let text = '';
  for await (const chunk of (request.body as Readable | undefined) ?? request.raw) {
    text += chunk;
    if (text.length > 200) break;
  }
  let body: unknown;
  try {
    if (text.length <= 200) body = JSON.parse(text);
  } catch {
    // Told below, with everything else that is no code.
  }
  const code = typeof body === 'object' && body !== null && 'code' in body ? body.code : undefined;
  if (typeof code === 'string' && /^\d{6}$/.test(code)) return code;
  throw new CodedError('request-invalid', {
    detail: 'The request has no code of six digits.',
    remedy: 'Send {"code": "123456"} with the digits that the companion shows.',
  });
}

/** A value of the query; twice the same name makes it a list, which nothing here takes. */
function queryText(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, unknown>)[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new CodedError('request-invalid', {
    detail: `"${name}" is given more than once: ${JSON.stringify(value)}.`,
    remedy: `Give "${name}" once.`,
  });
}

function queryNumber(request: FastifyRequest, name: string): number {
  const value = queryText(request, name) ?? '0';
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new CodedError('request-invalid', {
    detail: `"${name}" is ${JSON.stringify(value)}, which is not a whole number.`,
    remedy: `Write it as digits, such as ${name}=0.`,
  });
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
