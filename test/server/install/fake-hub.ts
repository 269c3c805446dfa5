import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How a storage response fails. */
export type Fault =
  /** The connection breaks after this many bytes. */
  | { readonly kind: 'drop'; readonly after: number }
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  /** Content-Length and body are shorter than requested. */
  | { readonly kind: 'short'; readonly bytes: number }
  /** Content-Length is larger than the body. */
  | { readonly kind: 'long'; readonly more: number }
  /** More bytes than requested, without Content-Length. */
  | { readonly kind: 'extra'; readonly bytes: Uint8Array }
  /** Content-Range reports another position, or another file size. */
  | { readonly kind: 'range'; readonly first?: number; readonly total?: number }
  /** The whole file, as from a server without range support. */
  | { readonly kind: 'whole' }
  /** The byte at this offset is wrong. */
  | { readonly kind: 'flip'; readonly at: number; readonly dropAfter?: number }
  /** This many bytes, then nothing, with the connection left open. */
  | { readonly kind: 'stall'; readonly after: number };

export interface Asked {
  readonly host: 'hub' | 'storage';
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly begin: number;
  /** File bytes sent. */
  sent: number;
}

interface Kept {
  readonly bytes: Buffer;
  readonly isLFS: boolean;
}

/**
 * Two servers that behave like the hub and its storage: the hub reports size, hash and commit and redirects
 * to the storage, another origin, which supports ranges.
 */
export class FakeHub {
  readonly commit = 'c0ffee'.padEnd(40, '0');
  readonly asked: Asked[] = [];
  /** Called for each storage response. */
  fault: (asked: Asked) => Fault | undefined = () => undefined;
  /** Called for each hub response. */
  refusal: (
    path: string,
    authorization: string | undefined,
  ) => { status: number; code?: string } | undefined = () => undefined;
  /** The size the hub reports. */
  sizeOf: (path: string, size: number) => number = (_, size) => size;
  /** Pause after each 16 KiB. */
  paceMs = 0;
  readonly #files = new Map<string, Kept>();
  readonly #hub: Server;
  readonly #storage: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#answerHub(request, response));
    this.#storage = createServer((request, response) => {
      this.#answerStorage(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    for (const server of [hub.#hub, hub.#storage]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return hub;
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return origin(this.#hub);
  }

  /** Where files are, under `/<repo>/<path>`. */
  get storage(): string {
    return origin(this.#storage);
  }

  /** Small files are on the hub itself, under their git blob hash. */
  publish(repo: string, path: string, bytes: Buffer, isLFS = true): void {
    this.#files.set(`${repo}/${path}`, { bytes, isLFS });
  }

  /** File bytes sent by the storage and the hub. */
  get sent(): number {
    return this.asked.reduce((sum, { sent }) => sum + sent, 0);
  }

  /** Resets it for a new test. */
  forget(): void {
    this.asked.length = 0;
    this.fault = () => undefined;
    this.refusal = () => undefined;
    this.sizeOf = (_, size) => size;
    this.paceMs = 0;
  }

  #note(host: Asked['host'], request: IncomingMessage, path: string): Asked {
    const begin = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const { authorization } = request.headers;
    const asked = { host, method: request.method ?? '', path, authorization, begin, sent: 0 };
    this.asked.push(asked);
    return asked;
  }

  #answerHub(request: IncomingMessage, response: ServerResponse): void {
    const [, cached, repo, revision, path] =
      /^(\/cached)?\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(request.url ?? '') ?? [];
    const name = `${repo}/${path}`;
    const asked = this.#note('hub', request, name);
    const file = this.#files.get(name);
    const refusal = this.refusal(name, asked.authorization);
    if (refusal || !file || (revision !== 'main' && revision !== this.commit)) {
      const { status, code } = refusal ?? { status: 404, code: 'EntryNotFound' };
      response.writeHead(status, code ? { 'x-error-code': code } : {}).end();
      return;
    }
    const { bytes, isLFS } = file;
    const size = this.sizeOf(name, bytes.length);
    const common = { 'x-repo-commit': this.commit, 'accept-ranges': 'bytes' };
    if (isLFS) {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      response.writeHead(302, {
        ...common,
        'x-linked-size': String(size),
        'x-linked-etag': `"${sha256}"`,
        location: `${origin(this.#storage)}/${name}?signature=x`,
      });
      response.end();
      return;
    }
    // A redirect within the hub: only the first response reports the commit.
    if (!cached) {
      response.writeHead(307, { 'x-repo-commit': this.commit, location: `/cached${request.url}` }).end();
      return;
    }
    const sha1 = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
    const rest = bytes.subarray(asked.begin);
    const isRange = request.headers.range !== undefined;
    response.writeHead(isRange ? 206 : 200, {
      etag: `"${sha1}"`,
      'content-length': String(rest.length),
      ...(isRange && { 'content-range': `bytes ${asked.begin}-${bytes.length - 1}/${bytes.length}` }),
    });
    asked.sent = request.method === 'GET' ? rest.length : 0;
    response.end(request.method === 'GET' ? rest : undefined);
  }

  async #answerStorage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = (request.url ?? '').slice(1).replace(/\?.*$/, '');
    const asked = this.#note('storage', request, name);
    const { bytes } = this.#files.get(name)!;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const fault = this.fault(asked);
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, fault.headers).end();
      return;
    }
    const begin = fault?.kind === 'whole' ? 0 : Number(first ?? 0);
    const end =
      fault?.kind === 'whole' ? bytes.length : Math.min(bytes.length, Number(last ?? bytes.length) + 1);
    let body = Buffer.from(bytes.subarray(begin, end));
    let length: number | undefined = body.length;
    let breaksAfter = Number.POSITIVE_INFINITY;
    let range = `bytes ${begin}-${end - 1}/${bytes.length}`;
    switch (fault?.kind) {
      case 'drop':
      case 'stall':
        breaksAfter = fault.after;
        break;
      case 'short':
        body = body.subarray(0, fault.bytes);
        length = body.length;
        break;
      case 'long':
        length += fault.more;
        break;
      case 'extra':
        body = Buffer.concat([body, fault.bytes]);
        length = undefined;
        break;
      case 'range':
        range = `bytes ${fault.first ?? begin}-${end - 1}/${fault.total ?? bytes.length}`;
        break;
      case 'flip':
        if (fault.at >= begin && fault.at < end) body[fault.at - begin]! ^= 1;
        breaksAfter = fault.dropAfter ?? breaksAfter;
    }
    response.writeHead(fault?.kind === 'whole' ? 200 : 206, {
      ...(length !== undefined && { 'content-length': String(length) }),
      ...(fault?.kind !== 'whole' && { 'content-range': range }),
    });
    response.flushHeaders();
    const piece = 16 * 1024;
    for (let sent = 0; sent < body.length && !response.destroyed; ) {
      const now = body.subarray(sent, Math.min(sent + piece, breaksAfter));
      if (now.length > 0) await new Promise((resolve) => response.write(now, resolve));
      sent += now.length;
      asked.sent += now.length;
      if (this.paceMs > 0) await sleep(this.paceMs);
      if (sent >= breaksAfter) {
        if (fault?.kind !== 'stall') response.destroy();
        return;
      }
    }
    // A body shorter than announced ends with its connection.
    if (fault?.kind === 'long') response.destroy();
    else response.end();
  }
}

function origin(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
