import axios, { type AxiosInstance, type AxiosRequestConfig, isAxiosError } from 'axios';
import { CodedError, errorStatus, type Problem } from '../../../shared/errors.ts';
import type { EditEvent, EditResult, EditState } from '../../../shared/events.ts';
import { decodeContainer } from '../../../shared/safetensors.ts';
import type { PastEdit, Pixels } from '../host.ts';

export interface Health {
  readonly name: string;
  readonly version: string;
  readonly protocol: number;
  readonly engine: {
    readonly state: string;
    readonly provider?: string | null;
    readonly model?: string | null;
  };
}

/** A model that can run. */
export interface ModelInfo {
  readonly id: string;
  readonly title: string;
  /** Names of the adapters that lie beside it. */
  readonly adapters: readonly string[];
}

export interface EditPoll {
  readonly state: EditState;
  readonly events: readonly EditEvent[];
  /** The `after` of the next poll. */
  readonly next: number;
}

/** The newest first. */
interface HistoryPage {
  readonly edits: readonly PastEdit[];
  /** The `before` of the next page. */
  readonly next: string | null;
}

export interface EditLayer {
  readonly layer: Pixels;
  readonly bounds: EditResult['bounds'];
}

export interface Client {
  /** Where it asks, without a slash at the end. */
  readonly url: string;
  /** Needs no token. */
  health(): Promise<Health>;
  /** @throws CodedError `token-missing` or `token-wrong` */
  models(): Promise<readonly ModelInfo[]>;
  /** Asks the companion to show six digits; needs no token. */
  startPairing(): Promise<{ readonly id: string; readonly seconds: number }>;
  /** The token, for the digits. */
  finishPairing(id: string, code: string): Promise<string>;
  /** Sends an edit; the same id and body may be sent again without running twice. */
  put(id: string, body: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Waits up to `wait` seconds for events with a `seq` above `after`. */
  poll(id: string, after: number, wait: number): Promise<EditPoll>;
  result(id: string, variant: number): Promise<EditLayer>;
  cancel(id: string): Promise<void>;
  /** An edit of the past; undefined where the companion keeps it no longer. */
  history(id: string): Promise<PastEdit | undefined>;
}

const secondsToAnswer = 15;
/** Health is asked of ports where any program may listen, and never answer. */
const secondsToSayHealth = 4;
const secondsToUpload = 300;

/**
 * The companion's protocol. Every method rejects with a CodedError: the companion's own problem, or
 * `companion-gone` where nothing answers.
 * @param url where the companion listens, without a slash at the end
 */
export function createClient(url: string, token: string | undefined): Client {
  const http = axios.create({
    baseURL: url,
    // Some hosts have neither a fetch that can be aborted nor cookies: XMLHttpRequest runs in all of them.
    adapter: ['xhr', 'http'],
    proxy: false,
    withCredentials: false,
    maxBodyLength: Number.POSITIVE_INFINITY,
    maxContentLength: Number.POSITIVE_INFINITY,
    timeout: secondsToAnswer * 1000,
    ...(token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } }),
  });
  const ask = <T>(request: AxiosRequestConfig): Promise<T> => send<T>(http, url, request);

  return {
    url,
    health: () => ask<Health>({ url: '/v1/health', timeout: secondsToSayHealth * 1000 }),
    models: async () => (await ask<{ models: readonly ModelInfo[] }>({ url: '/v1/models' })).models,
    startPairing: () => ask({ method: 'post', url: '/v1/pairings' }),
    finishPairing: async (id, code) => {
      const paired = await ask<{ token: string }>({
        method: 'put',
        url: `/v1/pairings/${id}`,
        data: JSON.stringify({ code }),
        headers: { 'Content-Type': 'application/json' },
      });
      return paired.token;
    },
    put: async (id, body) => {
      await ask({
        method: 'put',
        url: `/v1/edits/${id}`,
        data: body.buffer,
        headers: { 'Content-Type': 'application/octet-stream' },
        timeout: secondsToUpload * 1000,
      });
    },
    poll: (id, after, wait) =>
      ask<EditPoll>({
        url: `/v1/edits/${id}`,
        params: { after, wait },
        timeout: (wait + secondsToAnswer) * 1000,
      }),
    result: async (id, variant) => {
      const bytes = await ask<ArrayBuffer>({
        url: `/v1/edits/${id}/result`,
        params: { variant },
        responseType: 'arraybuffer',
        timeout: secondsToUpload * 1000,
      });
      return readLayer(new Uint8Array(bytes));
    },
    cancel: async (id) => {
      await ask({ method: 'delete', url: `/v1/edits/${id}` });
    },
    history: async (id) => {
      let before: string | null | undefined;
      do {
        const page: HistoryPage = await ask({ url: '/v1/edits', params: before ? { before } : {} });
        const found = page.edits.find((edit) => edit.id === id);
        if (found) return found;
        before = page.next;
      } while (before);
      return undefined;
    },
  };
}

async function send<T>(http: AxiosInstance, url: string, request: AxiosRequestConfig): Promise<T> {
  try {
    return (await http.request<T>(request)).data;
  } catch (thrown) {
    throw toCodedError(thrown, url);
  }
}

/** UXP's words where a manifest does not let a plugin call an address; thrown by the request, or told by its error event. */
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

/** The host's own words: they say what no guess of ours could. */
function denied(cause: Error, url: string): CodedError {
  const words = cause.message.trim();
  return new CodedError('local-access-denied', {
    detail: `This program refuses the panel’s request${words.includes(url) ? '' : ` to ${url}`}: “${words}”`,
    remedy:
      'Remove the panel, restart the program and install the panel again: an older manifest may still be in use. If the words stay the same, please report them.',
    cause,
  });
}

/** A problem document; it comes as bytes where bytes were asked for. */
function readProblem(body: unknown): Problem | undefined {
  let value = body;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    try {
      value = JSON.parse(new TextDecoder().decode(value));
    } catch {
      return undefined;
    }
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const problem = value as Partial<Problem>;
  const known = typeof problem.code === 'string' && Object.hasOwn(errorStatus, problem.code);
  return known && typeof problem.detail === 'string' && typeof problem.remedy === 'string'
    ? (problem as Problem)
    : undefined;
}

/** `layer` U8 `[h, w, 4]` and `bounds` out of a result. */
function readLayer(bytes: Uint8Array): EditLayer {
  const { metadata, tensors } = decodeContainer(bytes, 'The result');
  const layer = tensors.get('layer');
  const [height, width, channels] = layer?.shape ?? [];
  if (
    !layer ||
    !['U8', 'U16'].includes(layer.dtype) ||
    height === undefined ||
    width === undefined ||
    channels !== 4
  ) {
    throw new CodedError('container-invalid', {
      detail: `The result has no layer of RGBA with 8 or 16 bits, but ${layer ? `${layer.dtype} [${layer.shape}]` : 'nothing'}.`,
      remedy: 'Check that the panel and the companion have the same version.',
    });
  }
  const bounds = JSON.parse(metadata.bounds ?? 'null') as EditResult['bounds'] | null;
  if (bounds?.width !== width || bounds.height !== height) {
    throw new CodedError('container-invalid', {
      detail: `The result's layer is ${width}x${height}, but its bounds are ${metadata.bounds}.`,
      remedy: 'Check that the panel and the companion have the same version.',
    });
  }
  const data = layer.data.slice();
  const deep = layer.dtype === 'U16';
  return {
    layer: deep ? { width, height, data: new Uint16Array(data.buffer) } : { width, height, data },
    bounds,
  };
}
