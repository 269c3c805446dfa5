import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { jsonIn } from '../../shared/parse.ts';

export type WithId = { Params: { id: string } };

/** @throws CodedError `request-invalid` */
export function uuidIn(text: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text.toLowerCase();
  throw new CodedError('request-invalid', {
    detail: `The id "${text}" of the edit is not a UUID.`,
    remedy: 'Name each edit by a new UUID, such as 123e4567-e89b-42d3-a456-426614174000.',
  });
}

/** The id of the edit that a request is about. @throws CodedError `request-invalid` */
export function editId(request: FastifyRequest<WithId>): string {
  return uuidIn(request.params.id);
}

/**
 * A small JSON body, which is read no further than such a text is long.
 * @param wanted what it should be, for the error
 * @throws CodedError `request-invalid`
 */
export async function smallBody<S extends v.GenericSchema>(
  request: FastifyRequest,
  schema: S,
  wanted: { readonly detail: string; readonly remedy: string },
): Promise<v.InferOutput<S>> {
  let text = '';
  for await (const chunk of (request.body as Readable | undefined) ?? request.raw) {
    text += chunk;
    if (text.length > 200) break;
  }
  const result = v.safeParse(schema, text.length <= 200 ? jsonIn(text) : undefined);
  if (result.success) return result.output;
  throw new CodedError('request-invalid', wanted);
}

/** A value of the query; twice the same name makes it a list, which nothing here takes. */
export function queryText(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, unknown>)[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new CodedError('request-invalid', {
    detail: `"${name}" is given more than once: ${JSON.stringify(value)}.`,
    remedy: `Give "${name}" once.`,
  });
}

export function queryNumber(request: FastifyRequest, name: string): number {
  const value = queryText(request, name) ?? '0';
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new CodedError('request-invalid', {
    detail: `"${name}" is ${JSON.stringify(value)}, which is not a whole number.`,
    remedy: `Write it as digits, such as ${name}=0.`,
  });
}
