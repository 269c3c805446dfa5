import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { describeIssue, jsonIn } from '../../shared/parse.ts';
import { type Entries, fastifyPath, type Route } from './routes.ts';

/** Length limit of a JSON body unless the route needs more; enough for `{"code": "123456"}`. */
const maxJSON = 200;

type Output<E extends Entries> = { readonly [Key in keyof E]: v.InferOutput<E[Key]> };
type BodyOf<B> = B extends v.GenericSchema ? v.InferOutput<B> : B extends 'binary' ? Readable : undefined;
type AnswerOf<A> = A extends v.GenericSchema ? v.InferInput<A> : unknown;

/** The parts of a request a handler sees, validated. */
export interface Call<R extends Route> {
  readonly params: Output<R['params']>;
  readonly query: Output<R['query']>;
  readonly body: BodyOf<R extends { readonly body: infer B } ? B : undefined>;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Lets a handler return readonly values. */
type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;
type Handler<R extends Route> = (
  call: Call<R>,
) => Frozen<AnswerOf<R['answer']>> | Promise<Frozen<AnswerOf<R['answer']>>>;

/**
 * Adds a route to the app. Input is checked before the handler sees it (`request-invalid`), and output before
 * the client does: a response that breaks the protocol is a bug of ours.
 */
export function serveRoute<R extends Route>(app: FastifyInstance, route: R, handler: Handler<R>): void {
  const params = v.object(route.params);
  const query = v.object(route.query);
  app.route({
    method: route.method,
    url: fastifyPath(route),
    handler: async (request, reply) => {
      const call = {
        params: checked(params, request.params, 'The address'),
        query: checked(query, request.query, 'The query'),
        body: await bodyOf(request, route),
        request,
        reply,
      } as Call<R>;
      reply.code(route.status);
      const answer = await handler(call);
      return typeof route.answer === 'object' ? v.parse(route.answer, answer) : answer;
    },
  });
}

async function bodyOf(
  request: FastifyRequest,
  { body, maxCharacters = maxJSON }: Pick<Route, 'body' | 'maxCharacters'>,
): Promise<unknown> {
  if (body === undefined) return undefined;
  const stream = (request.body as Readable | undefined) ?? request.raw;
  return body === 'binary' ? stream : checked(body, jsonIn(await textOf(stream, maxCharacters)), 'The body');
}

/** The text of a body; empty if it is longer than any valid one. */
async function textOf(stream: Readable, most: number): Promise<string> {
  let text = '';
  for await (const chunk of stream) {
    text += chunk;
    if (text.length > most) return '';
  }
  return text;
}

function checked<S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  throw new CodedError('request-invalid', {
    detail: `${what} is wrong: ${describeIssue(result.issues[0])}.`,
    remedy: 'See docs/protocol.md or /v1/openapi.json for what this route takes.',
  });
}
