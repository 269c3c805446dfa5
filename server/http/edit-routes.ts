import type { FastifyInstance } from 'fastify';
import { maxRequestBytes, tooLarge } from '../jobs/intake.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { mediaTypes } from '../pictures/export.ts';
import { routes } from './routes.ts';
import { serveRoute } from './serve-route.ts';

export interface EditRoutesParts {
  readonly jobs: Jobs;
  readonly logError: (error: unknown, text: string) => void;
}

/** Routes to send, follow, fetch, queue and keep edits; see docs/protocol.md. */
export function addEditRoutes(app: FastifyInstance, { jobs, logError }: EditRoutesParts): void {
  const { archive } = jobs;

  serveRoute(app, routes.startEdit, ({ params, query, body, request }) => {
    if (query.from !== undefined) return jobs.runAgain(params.id, query.from);
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
      if (request.method !== 'GET' || reply.statusCode !== 200) return;
      archive.fetched(id).catch((error) => logError(error, 'An edit could not be marked as fetched.'));
    });
    const isPNG = request.headers.accept?.includes('image/png') === true;
    const choice = query.as ?? (isPNG || query.format ? 'layer' : undefined);
    if (!choice) {
      const { handle, size } = await archive.openResult(id, variant);
      reply.type('application/octet-stream').header('content-length', size);
      return handle.createReadStream({ start: 0 });
    }
    const format = query.format ?? (query.as ? undefined : 'png');
    const { bytes, notes, encoding, bounds, seed } = await archive.exportResult(id, variant, {
      as: choice,
      encoding: format,
    });
    reply.type(mediaTypes[encoding]).headers({
      'x-acepp-bounds': JSON.stringify(bounds),
      'x-acepp-seed': String(seed),
      // Percent-encoded, because header values are ASCII.
      ...(notes.length > 0 && { 'x-acepp-notes': encodeURIComponent(JSON.stringify(notes)) }),
    });
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  });

  serveRoute(app, routes.thumbnail, async ({ params, reply }) => {
    const png = await archive.thumbnail(params.id);
    reply.type('image/png');
    return Buffer.from(png);
  });

  serveRoute(app, routes.pin, ({ params }) => archive.pin(params.id, true));
  serveRoute(app, routes.unpin, ({ params }) => archive.pin(params.id, false));
  serveRoute(app, routes.removeEdit, ({ params }) => archive.remove(params.id));
  serveRoute(app, routes.history, ({ query }) => archive.history(query.before, query.q));

  serveRoute(app, routes.queue, () => ({ edits: jobs.queue() }));
  serveRoute(app, routes.cancelAll, async () => ({ cancelled: await jobs.cancelAll() }));
  serveRoute(app, routes.move, async ({ params, body }) => {
    await jobs.move(params.id, body.position);
    return { edits: jobs.queue() };
  });
}
