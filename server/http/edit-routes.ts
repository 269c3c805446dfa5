import type { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import * as v from 'valibot';
import { maxRequestBytes, tooLarge } from '../jobs/intake.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { layerPNG } from '../jobs/layer-png.ts';
import { editId, queryNumber, queryText, smallBody, uuidIn, type WithId } from './request-values.ts';

/** A poll is answered after this at the latest, before proxies and hosts give up. */
const longestWait = 30;

const moveSchema = v.object({ position: v.pipe(v.number(), v.safeInteger(), v.minValue(0)) });
const wantedMove = {
  detail: 'The request has no position.',
  remedy: 'Send {"position": 0} with how many edits are to run before this one.',
};

export interface EditRoutesParts {
  readonly jobs: Jobs;
  readonly logError: (error: unknown, text: string) => void;
}

/** Edits: sent, followed, fetched, queued and kept; see docs/protocol.md. */
export function addEditRoutes(app: FastifyInstance, { jobs, logError }: EditRoutesParts): void {
  const { archive } = jobs;

  app.put<WithId>('/v1/edits/:id', async (request, reply) => {
    const id = editId(request);
    const earlier = queryText(request, 'from');
    if (earlier !== undefined) return reply.code(202).send(await jobs.runAgain(id, uuidIn(earlier)));
    const length = Number(request.headers['content-length'] ?? 0);
    if (length > maxRequestBytes) throw tooLarge(length);
    const body = (request.body as Readable | undefined) ?? request.raw;
    return reply.code(202).send(await jobs.accept(id, body));
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
      if (request.method !== 'GET' || reply.statusCode !== 200) return;
      archive.fetched(id).catch((error) => logError(error, 'An edit could not be marked as fetched.'));
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

  app.get<WithId>('/v1/edits/:id/thumbnail', async (request, reply) => {
    reply.type('image/png');
    return Buffer.from(await archive.thumbnail(editId(request)));
  });

  app.put<WithId>('/v1/edits/:id/pin', async (request, reply) => {
    await archive.pin(editId(request), true);
    return reply.code(204).send();
  });

  app.delete<WithId>('/v1/edits/:id/pin', async (request, reply) => {
    await archive.pin(editId(request), false);
    return reply.code(204).send();
  });

  app.get('/v1/edits', (request) => {
    const before = queryText(request, 'before');
    return archive.history(before?.toLowerCase(), queryText(request, 'q'));
  });

  app.delete<WithId>('/v1/history/:id', async (request, reply) => {
    await archive.remove(editId(request));
    return reply.code(204).send();
  });

  app.get('/v1/queue', () => ({ edits: jobs.queue() }));

  app.delete('/v1/queue', async (_request, reply) =>
    reply.code(202).send({ cancelled: await jobs.cancelAll() }),
  );

  app.put<WithId>('/v1/queue/:id', async (request, reply) => {
    const id = editId(request);
    const { position } = await smallBody(request, moveSchema, wantedMove);
    await jobs.move(id, position);
    return reply.send({ edits: jobs.queue() });
  });
}
