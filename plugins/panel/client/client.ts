import axios, { type AxiosInstance, type AxiosRequestConfig, isAxiosError } from 'axios';
import * as v from 'valibot';
import type { Bounds } from '../../../shared/bounds.ts';
import { CodedError } from '../../../shared/errors.ts';
import { jsonIn, parseMessage } from '../../../shared/parse.ts';
import {
  acceptedSchema,
  cancelSchema,
  type EditSummary,
  type Health,
  type History,
  healthSchema,
  historySchema,
  type ModelInfo,
  modelsSchema,
  type PairingStarted,
  type Poll,
  pairedSchema,
  pairingSchema,
  pollSchema,
} from '../../../shared/protocol/answers.ts';
import type { PairingCode } from '../../../shared/protocol/pairing-code.ts';
import { type Problem, problemSchema } from '../../../shared/protocol/problem.ts';
import { keyId, proofOf, tokenKey } from '../../../shared/protocol/proof.ts';
import { readResult } from '../../../shared/protocol/result-container.ts';
import { decodeContainer } from '../../../shared/safetensors.ts';
import type { Pixels } from '../host.ts';

export interface EditLayer {
  readonly layer: Pixels;
  readonly bounds: Bounds;
}

export interface Client {
  /** The companion's base URL, without a trailing slash. */
  readonly url: string;
  /** Sends no token, but asks the listener to prove that it knows the token. */
  health(): Promise<Health>;
  /** @throws CodedError `token-missing` or `token-wrong` */
  models(): Promise<readonly ModelInfo[]>;
  /** Asks the companion to show a six-digit code; needs no token. */
  startPairing(): Promise<PairingStarted>;
  /** Exchanges the six digits for the token. */
  finishPairing(id: string, code: string): Promise<string>;
  /** Sends an edit. Idempotent: sending the same id and body again doesn't run it twice. */
  put(id: string, body: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Waits up to `wait` seconds for events with a `seq` above `after`. */
  poll(id: string, after: number, wait: number): Promise<Poll>;
  result(id: string, variant: number): Promise<EditLayer>;
  cancel(id: string): Promise<void>;
  /** A past edit; undefined if the companion no longer keeps it. */
  history(id: string): Promise<EditSummary | undefined>;
}

const secondsToAnswer = 15;
/** Timeout in seconds: any program may listen on a probed port, and never answer. */
const secondsToSayHealth = 4;
const secondsToUpload = 300;

/** How long a proof is valid: between requests the companion can exit and another program take its port. */
const millisecondsOfProof = 2000;

/**
 * The companion's protocol. The token is only sent to a listener that has just proved it knows it; a lost
 * connection invalidates the proof. Every method rejects with a CodedError: the companion's own problem,
 * `companion-gone` if nothing answers, or `message-invalid` for an answer that doesn't follow the protocol.
 * @param url where the companion listens, without a trailing slash
 */
export function createClient(url: string, token: string | undefined): Client {
  const http = axios.create({
    baseURL: url,
    // Some hosts lack an abortable fetch, and cookies: XMLHttpRequest works in all of them.
    adapter: ['xhr', 'http'],
    proxy: false,
    withCredentials: false,
    maxBodyLength: Number.POSITIVE_INFINITY,
    maxContentLength: Number.POSITIVE_INFINITY,
    timeout: secondsToAnswer * 1000,
  });
  const key = token === undefined ? undefined : tokenKey(token);
  let provenAt = Number.NEGATIVE_INFINITY;

  /** For requests that need no token. */
  const askOpenly = async <S extends v.GenericSchema>(schema: S, request: AxiosRequestConfig) =>
    parse(schema, request, await send(http, url, request));

  async function health(): Promise<Health> {
    const nonce = newNonce();
    const answer = await askOpenly(healthSchema, {
      url: '/v1/health',
      timeout: secondsToSayHealth * 1000,
      params: key === undefined ? {} : { nonce, key: keyId(key) },
    });
    const isProven = key !== undefined && answer.proof === proofOf(key, nonce, portOf(url));
    provenAt = isProven ? performance.now() : Number.NEGATIVE_INFINITY;
    return answer;
  }

  const isProven = () => performance.now() - provenAt < millisecondsOfProof;

  const sendWithToken = async (request: AxiosRequestConfig): Promise<unknown> => {
    if (token === undefined) return send(http, url, request);
    if (!isProven()) await health();
    if (!isProven()) throw unproven(url);
    try {
      const headers = { ...request.headers, Authorization: `Bearer ${token}` };
      return await send(http, url, { ...request, headers });
    } catch (error) {
      if (error instanceof CodedError && error.code === 'companion-gone') provenAt = Number.NEGATIVE_INFINITY;
      throw error;
    }
  };
  const ask = async <S extends v.GenericSchema>(schema: S, request: AxiosRequestConfig) =>
    parse(schema, request, await sendWithToken(request));

  return {
    url,
    health,
    models: async () => (await ask(modelsSchema, { url: '/v1/models' })).models,
    startPairing: () => askOpenly(pairingSchema, { method: 'post', url: '/v1/pairings' }),
    finishPairing: async (id, code) => {
      const paired = await askOpenly(pairedSchema, {
        method: 'put',
        url: `/v1/pairings/${id}`,
        data: JSON.stringify({ code } satisfies PairingCode),
        headers: { 'Content-Type': 'application/json' },
      });
      return paired.token;
    },
    put: async (id, body) => {
      await ask(acceptedSchema, {
        method: 'put',
        url: `/v1/edits/${id}`,
        data: body.buffer,
        headers: { 'Content-Type': 'application/octet-stream' },
        timeout: secondsToUpload * 1000,
      });
    },
    poll: (id, after, wait) =>
      ask(pollSchema, {
        url: `/v1/edits/${id}`,
        params: { after, wait },
        timeout: (wait + secondsToAnswer) * 1000,
      }),
    result: async (id, variant) => {
      const bytes = await sendWithToken({
        url: `/v1/edits/${id}/result`,
        params: { variant },
        responseType: 'arraybuffer',
        timeout: secondsToUpload * 1000,
      });
      return readLayer(new Uint8Array(bytes as ArrayBuffer));
    },
    cancel: async (id) => {
      await ask(cancelSchema, { method: 'delete', url: `/v1/edits/${id}` });
    },
    history: async (id) => {
      let before: string | null | undefined;
      do {
        const page: History = await ask(historySchema, {
          url: '/v1/edits',
          params: before ? { before } : {},
        });
        const found = page.edits.find((edit) => edit.id === id);
        if (found) return found;
        before = page.next;
      } while (before);
      return undefined;
    },
  };
}

function parse<S extends v.GenericSchema>(
  schema: S,
  { method = 'get', url }: AxiosRequestConfig,
  answer: unknown,
) {
  return parseMessage(schema, answer, `The answer to ${method.toUpperCase()} ${url}`);
}

/** 16 random bytes as hexadecimal. */
function newNonce(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function portOf(url: string): number {
  return Number(new URL(url).port || 80);
}

function unproven(url: string): CodedError {
  return new CodedError('token-wrong', {
    detail: `What answers at ${url} does not prove that it knows this panel’s token, so the token was not sent.`,
    remedy:
      'If the companion is of an earlier version, update it. Else pair this panel again, or open the link that the companion printed.',
  });
}

async function send(http: AxiosInstance, url: string, request: AxiosRequestConfig): Promise<unknown> {
  try {
    return (await http.request<unknown>(request)).data;
  } catch (thrown) {
    throw toCodedError(thrown, url);
  }
}

/**
 * UXP's message when a manifest doesn't allow an address; thrown by the request or sent to its error event.
 */
const denial = /permission denied|manifest entry not found/i;

function toCodedError(thrown: unknown, url: string): CodedError {
  if (thrown instanceof Error && denial.test(thrown.message)) return denied(thrown, url);
  if (!isAxiosError<unknown>(thrown)) return CodedError.from(thrown);
  if (thrown.response === undefined) {
    return new CodedError('companion-gone', {
      detail: `The companion does not answer at ${url}.`,
      remedy: 'Start it again with "npm start" and leave its window open. The panel finds it by itself.',
      cause: thrown,
    });
  }
  const problem = readProblem(thrown.response.data);
  if (problem) return CodedError.fromProblem(problem);
  return new CodedError('internal', {
    detail: `The companion answered with status ${thrown.response.status} and no reason.`,
    remedy: 'Check that the panel and the companion have the same version, then try again.',
    cause: thrown,
  });
}

/** Quotes the host's own message, which is more precise than any guess of ours. */
function denied(cause: Error, url: string): CodedError {
  const words = cause.message.trim();
  return new CodedError('local-access-denied', {
    detail: `This program refuses the panel’s request${words.includes(url) ? '' : ` to ${url}`}: “${words}”`,
    remedy:
      'Remove the panel, restart the program and install the panel again: an older manifest may still be in use. If the words stay the same, please report them.',
    cause,
  });
}

/** Reads a problem document, which arrives as bytes if the request asked for bytes. */
function readProblem(body: unknown): Problem | undefined {
  const isBytes = body instanceof ArrayBuffer || ArrayBuffer.isView(body);
  const problem = v.safeParse(problemSchema, isBytes ? jsonIn(new TextDecoder().decode(body)) : body);
  return problem.success ? problem.output : undefined;
}

/** The layer in a result, with its own copy of the pixels. */
function readLayer(bytes: Uint8Array): EditLayer {
  const { pixels, bounds } = readResult(decodeContainer(bytes, 'The result'));
  const { width, height } = bounds;
  const copy = pixels.data.slice();
  const layer: Pixels =
    pixels.dtype === 'U16'
      ? { width, height, data: new Uint16Array(copy.buffer) }
      : { width, height, data: copy };
  return { layer, bounds };
}
