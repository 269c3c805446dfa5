/** Generates the OpenAPI document from the schemas and the route table: `npm run openapi`. */
import { type ConversionConfig, toJsonSchema, toJsonSchemaDefs } from '@valibot/to-json-schema';
import * as v from 'valibot';
import manifest from '../../manifest.json' with { type: 'json' };
import { boundsSchema } from '../../shared/bounds.ts';
import { type ErrorCode, errorStatus } from '../../shared/errors.ts';
import {
  acceptedSchema,
  cancelledAllSchema,
  cancelSchema,
  editSummarySchema,
  healthSchema,
  historySchema,
  modelSchema,
  modelsSchema,
  openPairingsSchema,
  pairedSchema,
  pairingSchema,
  pollSchema,
  queueSchema,
} from '../../shared/protocol/answers.ts';
import { editEventSchema } from '../../shared/protocol/events.ts';
import { moveSchema } from '../../shared/protocol/move.ts';
import { pairingCodeSchema } from '../../shared/protocol/pairing-code.ts';
import { planRequestSchema, planSchema } from '../../shared/protocol/plan.ts';
import { problemSchema } from '../../shared/protocol/problem.ts';
import { editRequestSchema, keptRequestSchema, maxReferences } from '../../shared/protocol/request.ts';
import { editResultSchema } from '../../shared/protocol/result.ts';
import { mediaTypes } from '../pictures/export.ts';
import { type Body, commonErrors, type Entries, type Route, routes, tokenErrors } from './routes.ts';

/** Messages by name in the document. `EditRequest` is not a body: it is text in a container's metadata. */
const messages = {
  Accepted: acceptedSchema,
  Bounds: boundsSchema,
  Cancelled: cancelSchema,
  CancelledAll: cancelledAllSchema,
  EditEvent: editEventSchema,
  EditRequest: editRequestSchema,
  EditResult: editResultSchema,
  EditSummary: editSummarySchema,
  Health: healthSchema,
  History: historySchema,
  KeptRequest: keptRequestSchema,
  Model: modelSchema,
  Models: modelsSchema,
  Move: moveSchema,
  OpenPairings: openPairingsSchema,
  Paired: pairedSchema,
  PairingCode: pairingCodeSchema,
  PairingStarted: pairingSchema,
  Plan: planSchema,
  PlanRequest: planRequestSchema,
  Poll: pollSchema,
  Problem: problemSchema,
  Queue: queueSchema,
};

const requestContainer = `A safetensors container. Its metadata entry \`request\` is the JSON text of an \`EditRequest\`. Its tensors are \`edit\` (U8 or U16 [H, W, 3 or 4]), \`mask\` (U8 [H, W]) and \`reference.0\` to \`reference.${maxReferences - 1}\` (as \`edit\`), or encoded files as U8 [N] under the same names with .png, .jpg or .webp. All of them may be left out. See docs/protocol.md.`;
const resultContainer =
  'A safetensors container: the tensor `layer` (U8 or U16 [h, w, 4], straight alpha), and in the metadata `bounds` (JSON text of `Bounds`), `seed`, `timings` and `result` (JSON text of `EditResult`).';

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });

const conversion: ConversionConfig = {
  target: 'draft-2020-12',
  // Document what each pipe outputs: the digits in a query become a number.
  typeMode: 'output',
  definitions: messages,
  overrideRef: ({ referenceId }) => ref(referenceId).$ref,
  // JSON Schema cannot express these.
  ignoreActions: ['check', 'to_lower_case'],
  errorMode: 'throw',
};

/** A schema, as a reference if it has a name. */
function schemaOf(schema: v.GenericSchema): object {
  const { $schema: _, $defs: __, default: ___, ...json } = toJsonSchema(schema, conversion);
  return json;
}

/** The whole document, ready to serialize as JSON. */
export function openAPIDocument(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [operationId, route] of Object.entries<Route>(routes)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(operationId, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: `The companion of ${manifest.name}`,
      version: manifest.version,
      description: 'docs/protocol.md explains it. Ignore fields that you do not know.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: manifest.ports.map((port) => ({ url: `http://127.0.0.1:${port}` })),
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'The text of ACEPP_HOME/token' },
      },
      schemas: toJsonSchemaDefs(messages, conversion),
    },
  };
}

function operation(operationId: string, route: Route): object {
  const { summary, isOpen, params, query, body } = route;
  return {
    operationId,
    summary,
    ...(isOpen && { security: [] }),
    parameters: [...parameters(params, 'path'), ...parameters(query, 'query')],
    ...(body && { requestBody: { required: true, content: contentOf(body) } }),
    responses: { [route.status]: answerOf(route), ...problemsOf(route) },
  };
}

function parameters(entries: Entries, where: 'path' | 'query'): object[] {
  return Object.entries(entries).map(([name, schema]) => ({
    name,
    in: where,
    required: where === 'path',
    schema: { ...schemaOf(schema), ...defaultOf(schema) },
  }));
}

/** The default of a query parameter, parsed from its text. */
function defaultOf(schema: v.GenericSchema): object {
  const { output } = v.safeParse(schema, undefined);
  return output === undefined ? {} : { default: output };
}

function contentOf(body: Body): object {
  return body === 'binary'
    ? {
        'application/octet-stream': {
          schema: { type: 'string', format: 'binary', description: requestContainer },
        },
      }
    : { 'application/json': { schema: schemaOf(body) } };
}

function answerOf({ summary, answer }: Route): object {
  if (answer === 'document') {
    return { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } };
  }
  if (answer === 'nothing') return { description: summary };
  const binary = { type: 'string', format: 'binary' };
  if (answer === 'thumbnail') return { description: summary, content: { 'image/png': { schema: binary } } };
  if (answer === 'layer') {
    const text = (description: string) => ({ description, schema: { type: 'string' } });
    return {
      description: resultContainer,
      headers: {
        'x-acepp-bounds': text('With files only: JSON text of `Bounds`'),
        'x-acepp-seed': text('With files only'),
        'x-acepp-notes': text('With files only: what the format cost, percent-encoded JSON text of a list'),
      },
      content: Object.fromEntries(
        ['application/octet-stream', ...new Set(Object.values(mediaTypes))].map((type) => [
          type,
          { schema: binary },
        ]),
      ),
    };
  }
  return { description: summary, content: { 'application/json': { schema: schemaOf(answer) } } };
}

/** The errors of a route by status, with their codes in the description. */
function problemsOf({ isOpen, errors }: Route): object {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...commonErrors, ...(isOpen ? [] : tokenErrors), ...errors]) {
    const status = errorStatus[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const responses: Record<string, object> = {};
  for (const [status, codes] of byStatus) {
    responses[status] = {
      description: codes.map((code) => `\`${code}\``).join(', '),
      content: { 'application/problem+json': { schema: ref('Problem') } },
    };
  }
  return responses;
}
