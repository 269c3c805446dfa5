/**
 * Every route of the protocol, with what it accepts and returns. Requests and responses are checked against
 * this table (serve-route.ts), and docs/openapi.json is generated from it (openapi.ts).
 */
import * as v from 'valibot';
import type { ErrorCode } from '../../shared/errors.ts';
import {
  acceptedSchema,
  cancelledAllSchema,
  cancelSchema,
  healthSchema,
  historySchema,
  modelsSchema,
  openPairingsSchema,
  pairedSchema,
  pairingSchema,
  pollSchema,
  queueSchema,
} from '../../shared/protocol/answers.ts';
import { moveSchema } from '../../shared/protocol/move.ts';
import { pairingCodeSchema } from '../../shared/protocol/pairing-code.ts';
import { planRequestSchema, planSchema } from '../../shared/protocol/plan.ts';
import { outputEncodings, results } from '../pictures/export.ts';

/** A poll is answered after this many seconds at the latest, before proxies and hosts give up. */
const longestWait = 30;

/** Digits in a URL, as a number. */
const wholeNumber = v.pipe(
  v.string(),
  v.regex(/^\d{1,9}$/, 'write a whole number as digits, such as 0'),
  v.transform(Number),
  v.number(),
  v.integer(),
  v.minValue(0),
);

const uuid = v.pipe(
  v.string(),
  v.uuid('name each edit by a new UUID, such as 123e4567-e89b-42d3-a456-426614174000'),
  v.toLowerCase(),
);

export type Entries = Readonly<Record<string, v.GenericSchema<unknown, unknown>>>;

/** `binary`: a safetensors container, streamed and never read whole. */
export type Body = v.GenericSchema | 'binary';

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** As in OpenAPI: `/v1/edits/{id}`. */
  readonly path: `/v1/${string}`;
  readonly summary: string;
  /** Needs no token. */
  readonly isOpen?: boolean;
  readonly params: Entries;
  readonly query: Entries;
  readonly body?: Body;
  /** Length limit of a JSON body, if it needs more than the default. */
  readonly maxCharacters?: number;
  readonly status: 200 | 201 | 202 | 204;
  /**
   * `layer`: a safetensors container, or a PNG for clients that accept one. `thumbnail`: a PNG.
   * `document`: an OpenAPI document. `nothing`: no body.
   */
  readonly answer: v.GenericSchema | 'layer' | 'thumbnail' | 'document' | 'nothing';
  /** In addition to those of every route; see `commonErrors`. */
  readonly errors: readonly ErrorCode[];
}

export const commonErrors: readonly ErrorCode[] = [
  'request-invalid',
  'host-refused',
  'origin-refused',
  'internal',
];
export const tokenErrors: readonly ErrorCode[] = ['token-missing', 'token-wrong'];

export const routes = {
  health: {
    method: 'GET',
    path: '/v1/health',
    summary:
      'Who answers here, in which version, and what its engine does; with `nonce` and `key` also that it knows the token of that key',
    isOpen: true,
    params: {},
    query: {
      nonce: v.optional(
        v.pipe(v.string(), v.regex(/^[0-9a-f]{32,64}$/, 'send 16 to 32 random bytes in hexadecimal')),
      ),
      key: v.optional(v.string()),
    },
    status: 200,
    answer: healthSchema,
    errors: [],
  },
  /** The same for every installation of the project: there is nothing in it to protect. */
  openapi: {
    method: 'GET',
    path: '/v1/openapi.json',
    summary: 'This document',
    isOpen: true,
    params: {},
    query: {},
    status: 200,
    answer: 'document',
    errors: [],
  },
  models: {
    method: 'GET',
    path: '/v1/models',
    summary: 'The models that can run, with their defaults and adapters',
    params: {},
    query: {},
    status: 200,
    answer: modelsSchema,
    errors: [],
  },
  plan: {
    method: 'POST',
    path: '/v1/plans',
    summary:
      'What an edit would be: its task, size, model, memory, time and notes, from sizes without pixels',
    params: {},
    query: {},
    body: planRequestSchema,
    // An instruction has up to 4,000 characters, and JSON may escape each as six.
    maxCharacters: 40_000,
    status: 200,
    answer: planSchema,
    errors: [
      'task-needs',
      'instruction-empty',
      'too-large',
      'model-unknown',
      'model-missing',
      'model-file-invalid',
      'adapter-unknown',
      'adapter-invalid',
      'provider-unavailable',
      'out-of-memory',
    ],
  },
  startEdit: {
    method: 'PUT',
    path: '/v1/edits/{id}',
    summary:
      'Sends an edit, or with `from` the request of an earlier one again. The same id with the same body gets the same answer and runs once',
    params: { id: uuid },
    query: {
      /** The body is then empty. */
      from: v.optional(uuid),
    },
    body: 'binary',
    status: 202,
    answer: acceptedSchema,
    errors: [
      'container-invalid',
      'image-invalid',
      'task-needs',
      'instruction-empty',
      'too-large',
      'edit-conflict',
      'queue-full',
      'not-found',
      'result-damaged',
      'disk-full',
      'disk-unwritable',
      'companion-gone',
    ],
  },
  pollEdit: {
    method: 'GET',
    path: '/v1/edits/{id}',
    summary: 'The state of an edit and its events after number `after`; waits up to `wait` seconds for one',
    params: { id: uuid },
    query: {
      after: v.optional(wholeNumber, '0'),
      wait: v.optional(
        v.pipe(
          wholeNumber,
          v.transform((seconds) => Math.min(longestWait, seconds)),
          v.number(),
          v.integer(),
          v.minValue(0),
        ),
        '0',
      ),
    },
    status: 200,
    answer: pollSchema,
    errors: ['not-found'],
  },
  cancelEdit: {
    method: 'DELETE',
    path: '/v1/edits/{id}',
    summary: 'Cancels an edit: at once while it waits, before its next step while it runs',
    params: { id: uuid },
    query: {},
    status: 202,
    answer: cancelSchema,
    errors: ['not-found'],
  },
  result: {
    method: 'GET',
    path: '/v1/edits/{id}/result',
    summary:
      'The layer of one variant; with `as`, a file: the layer, or the finished picture, in the document’s own format or `format`',
    params: { id: uuid },
    query: {
      variant: v.optional(wholeNumber, '0'),
      as: v.optional(v.picklist(results)),
      format: v.optional(v.picklist(outputEncodings)),
    },
    status: 200,
    answer: 'layer',
    errors: ['not-found', 'edit-not-done', 'result-damaged', 'image-invalid', 'too-large'],
  },
  history: {
    method: 'GET',
    path: '/v1/edits',
    summary: 'A page of 50 edits, the newest first',
    params: {},
    query: { before: v.optional(v.pipe(v.string(), v.toLowerCase())), q: v.optional(v.string()) },
    status: 200,
    answer: historySchema,
    errors: ['not-found'],
  },
  thumbnail: {
    method: 'GET',
    path: '/v1/edits/{id}/thumbnail',
    summary: 'A PNG of the first variant, 256 pixels at the most',
    params: { id: uuid },
    query: {},
    status: 200,
    answer: 'thumbnail',
    errors: ['not-found', 'edit-not-done', 'result-damaged', 'disk-full', 'disk-unwritable'],
  },
  pin: {
    method: 'PUT',
    path: '/v1/edits/{id}/pin',
    summary: 'Keeps an edit whatever the budget of the history says',
    params: { id: uuid },
    query: {},
    status: 204,
    answer: 'nothing',
    errors: ['not-found', 'disk-full', 'disk-unwritable'],
  },
  unpin: {
    method: 'DELETE',
    path: '/v1/edits/{id}/pin',
    summary: 'Keeps an edit no longer than others',
    params: { id: uuid },
    query: {},
    status: 204,
    answer: 'nothing',
    errors: ['not-found', 'disk-full', 'disk-unwritable'],
  },
  removeEdit: {
    method: 'DELETE',
    path: '/v1/history/{id}',
    summary: 'Removes an edit that is over, with its files',
    params: { id: uuid },
    query: {},
    status: 204,
    answer: 'nothing',
    errors: ['not-found', 'edit-not-over', 'disk-unwritable'],
  },
  queue: {
    method: 'GET',
    path: '/v1/queue',
    summary: 'What runs and what waits, in order',
    params: {},
    query: {},
    status: 200,
    answer: queueSchema,
    errors: [],
  },
  cancelAll: {
    method: 'DELETE',
    path: '/v1/queue',
    summary: 'Cancels all that runs and waits',
    params: {},
    query: {},
    status: 202,
    answer: cancelledAllSchema,
    errors: [],
  },
  move: {
    method: 'PUT',
    path: '/v1/queue/{id}',
    summary: 'Lets a waiting edit run after `position` others; gives the new order',
    params: { id: uuid },
    query: {},
    body: moveSchema,
    status: 200,
    answer: queueSchema,
    errors: ['not-found', 'disk-full', 'disk-unwritable'],
  },
  pairings: {
    method: 'GET',
    path: '/v1/pairings',
    summary: 'Panels that ask to be paired: who, when, and the code for it',
    params: {},
    query: {},
    status: 200,
    answer: openPairingsSchema,
    errors: [],
  },
  startPairing: {
    method: 'POST',
    path: '/v1/pairings',
    summary: 'Shows six digits in the terminal of the companion',
    isOpen: true,
    params: {},
    query: {},
    status: 201,
    answer: pairingSchema,
    errors: ['pairing-limit'],
  },
  finishPairing: {
    method: 'PUT',
    path: '/v1/pairings/{id}',
    summary: 'Exchanges the six digits for the token',
    isOpen: true,
    params: { id: v.string() },
    query: {},
    body: pairingCodeSchema,
    status: 200,
    answer: pairedSchema,
    errors: ['pairing-wrong', 'pairing-over', 'pairing-limit'],
  },
} as const satisfies Readonly<Record<string, Route>>;

/** A route's path in Fastify's notation: `/v1/edits/:id`. */
export function fastifyPath({ path }: Pick<Route, 'path'>): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}
