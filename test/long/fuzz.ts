/**
 * Sends requests by chance to a real companion: right ones, almost right ones, and bytes that are no HTTP. What must hold:
 * each is answered in time, with a problem whose code is declared where it is an error, and never with `internal`.
 */
import { connect } from 'node:net';
import { type ErrorCode, errorStatus } from '../../shared/errors.ts';
import type { Answer } from '../server/http/running-companion.ts';
import { RunningCompanion, squareEdit } from '../server/http/running-companion.ts';
import { residentMB } from './options.ts';
import { Random } from './random.ts';

export interface FuzzReport {
  readonly requests: number;
  readonly perSecond: number;
  /** How often each status came. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** Of the companion after a tenth of the requests, and at the end. */
  readonly memoryMB: readonly (number | undefined)[];
  readonly wrong: readonly string[];
}

/** A poll may wait as long as it asks for; everything else has this. */
const millisecondsAllowed = 10_000;
const atOnce = 24;
const routes = [
  '/v1/health',
  '/v1/models',
  '/v1/edits',
  '/v1/edits/ID',
  '/v1/edits/ID/result',
  '/v1/edits/ID/thumbnail',
  '/v1/edits/ID/pin',
  '/v1/history/ID',
  '/v1/queue',
  '/v1/queue/ID',
  '/v1/pairings',
  '/v1/pairings/ID',
  '/metrics',
  '/',
  '/open/ID',
  '/panel.js',
  '/nothing',
];
const methods = [
  'GET',
  'GET',
  'GET',
  'PUT',
  'POST',
  'DELETE',
  'OPTIONS',
  'HEAD',
  'PATCH',
  'TRACE',
  'PROPFIND',
];
const values = [
  '0',
  '1',
  '-1',
  '',
  '1e9',
  '99999999999',
  'null',
  '%00',
  '../../x',
  'a'.repeat(300),
  '[]',
  'ä',
  '%zz',
];
const names = [
  'after',
  'wait',
  'variant',
  'before',
  'q',
  'from',
  'nonce',
  'key',
  'x',
  '__proto__',
  'constructor',
];
const good = squareEdit({ side: 16, request: { steps: 1 } });

export async function fuzz(requests: number, seed: number): Promise<FuzzReport> {
  const companion = await RunningCompanion.start();
  const fuzzer = new Fuzzer(companion, new Random(seed));
  const memory: (number | undefined)[] = [];
  const started = performance.now();
  let sent = 0;
  const worker = async () => {
    while (sent < requests) {
      sent++;
      if (sent === Math.ceil(requests / 10)) memory.push(residentMB(companion.child.pid!));
      if (sent % 20_000 === 0) console.error(`${sent} requests`);
      await fuzzer.one();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  memory.push(residentMB(companion.child.pid!));
  const seconds = (performance.now() - started) / 1000;
  if (companion.child.exitCode !== null)
    fuzzer.wrong.push(`the companion ended: ${companion.stderr().slice(-1000)}`);
  if (/unhandled|at async|\n\s+at /i.test(companion.stderr())) {
    fuzzer.wrong.push(`the companion wrote a stack trace: ${companion.stderr().slice(0, 2000)}`);
  }
  await companion.remove();
  const { statuses, slowestMs, wrong } = fuzzer;
  const perSecond = Math.round(requests / seconds);
  return { requests, perSecond, statuses, slowestMs: Math.round(slowestMs), memoryMB: memory, wrong };
}

class Fuzzer {
  readonly statuses: Record<string, number> = {};
  readonly wrong: string[] = [];
  slowestMs = 0;
  readonly #companion: RunningCompanion;
  readonly #random: Random;
  /** Ids that exist, or did. */
  readonly #ids: string[] = [];

  constructor(companion: RunningCompanion, random: Random) {
    this.#companion = companion;
    this.#random = random;
  }

  async one(): Promise<void> {
    const started = performance.now();
    try {
      await (this.#random.next() < 0.1 ? this.#garbage() : this.#request());
    } catch (error) {
      this.wrong.push(`no answer: ${(error as Error).message}`);
    }
    const took = performance.now() - started;
    this.slowestMs = Math.max(this.slowestMs, took);
    if (took > millisecondsAllowed) this.wrong.push(`an answer took ${Math.round(took)} ms`);
  }

  async #request(): Promise<void> {
    const random = this.#random;
    const method = random.pick(methods);
    const isKnown = random.next() < 0.5 && this.#ids.length > 0;
    const id = isKnown
      ? random.pick(this.#ids)
      : random.next() < 0.7
        ? random.uuid()
        : encodeURIComponent(random.pick(values));
    const route = random.pick(routes).replace('ID', id);
    const target = `${route}${this.#query()}`;
    const headers: Record<string, string> = {};
    if (random.next() < 0.1)
      headers.authorization = random.pick(['', 'Bearer', 'Bearer x', 'Basic eDp5', 'Bearer  ']);
    if (random.next() < 0.1)
      headers.origin = random.pick(['null', 'https://evil.example', 'file://', '', 'uxp://x']);
    if (random.next() < 0.05) headers.host = random.pick(['localhost', 'evil.example', '127.0.0.1:1', '']);
    if (random.next() < 0.2) headers.accept = random.pick(['image/png', '*/*', 'text/html', 'a'.repeat(500)]);
    if (random.next() < 0.1)
      headers['content-type'] = random.pick(['application/json', 'text/plain', 'x', 'multipart/form-data']);
    const body = method === 'PUT' || method === 'POST' ? this.#body() : undefined;
    const answer = await this.#companion.ask(target, { method, headers, ...(body && { body }) });
    if (answer.status === 202 && method === 'PUT') this.#remember(id);
    this.#judge(`${method} ${target}`, answer);
  }

  #query(): string {
    const random = this.#random;
    const count = random.pick([0, 0, 1, 1, 2, 3]);
    if (count === 0) return '';
    const pairs = Array.from({ length: count }, () => {
      const name = random.pick(names);
      // Long polls are one of the things that may hang; the rest of the run must not wait for them.
      const value = name === 'wait' ? random.pick(['0', '1', 'x']) : encodeURIComponent(random.pick(values));
      return `${name}=${value}`;
    });
    return `?${pairs.join('&')}`;
  }

  #body(): Uint8Array {
    const random = this.#random;
    const kind = random.next();
    if (kind < 0.15) return good;
    if (kind < 0.3)
      return Buffer.from(
        random.pick(['{"code":"123456"}', '{"position":0}', '{', '[]', 'null', '{"position":-1}']),
      );
    const bytes = kind < 0.7 ? Uint8Array.from(good) : new Uint8Array(random.below(2000));
    for (let i = random.below(8); i >= 0 && bytes.length > 0; i--)
      bytes[random.below(Math.min(bytes.length, 900))] = random.below(256);
    return kind < 0.5 ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
  }

  /** Bytes that are no request, or a broken one; the connection has to be closed after them. */
  #garbage(): Promise<void> {
    const random = this.#random;
    const { port, host } = this.#companion.url;
    const text = random.pick([
      'GET / HTTP/1.1\r\n\r\n',
      `GET ${'/a'.repeat(20_000)} HTTP/1.1\r\nhost: ${host}\r\n\r\n`,
      `GET /v1/health HTTP/9.9\r\nhost: ${host}\r\n\r\n`,
      `PUT /v1/edits/${random.uuid()} HTTP/1.1\r\nhost: ${host}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
      `PUT /v1/edits/${random.uuid()} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: -5\r\n\r\n`,
      `GET /v1/health HTTP/1.1\r\nhost: ${host}\r\nexpect: magic\r\n\r\n`,
      `CONNECT evil.example:443 HTTP/1.1\r\nhost: ${host}\r\n\r\n`,
      `GET /v1/health HTTP/1.1\r\nhost: ${host}\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      `${Array.from({ length: 40 }, () => String.fromCharCode(random.below(256))).join('')}\r\n\r\n`,
    ]);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1');
      let answer = '';
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Error(`the connection stays open after ${JSON.stringify(text.slice(0, 60))}`));
      }, millisecondsAllowed);
      socket.setEncoding('latin1').on('data', (data: string) => {
        answer += data;
        // Where it was a request after all, the connection is kept for the next one.
        if (answer.includes('\r\n\r\n')) socket.end();
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        clearTimeout(timer);
        const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'closed';
        this.#count(status);
        const isProblem = /content-type: application\/problem\+json/i.test(answer);
        if (/^[45]/.test(status) && !isProblem)
          this.wrong.push(`${status} without a problem for ${JSON.stringify(text.slice(0, 60))}`);
        if (status.startsWith('5')) this.wrong.push(`${status} for ${JSON.stringify(text.slice(0, 60))}`);
        resolve();
      });
      socket.write(text, 'latin1');
    });
  }

  #judge(what: string, { status, headers, body }: Answer): void {
    this.#count(String(status));
    if (status < 400) return;
    if (what.startsWith('HEAD')) {
      if (status >= 500) this.wrong.push(`${status} for ${what}`);
      return;
    }
    const isProblem = headers['content-type'] === 'application/problem+json';
    const code = isProblem ? (JSON.parse(body.toString()) as { code: ErrorCode }).code : undefined;
    const isDeclared = code !== undefined && code in errorStatus && code !== 'internal';
    if (!isDeclared)
      this.wrong.push(
        `${status} ${code ?? 'without a problem'} for ${what}: ${body.toString().slice(0, 300)}`,
      );
  }

  #count(status: string): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
  }

  #remember(id: string): void {
    this.#ids.push(id);
    if (this.#ids.length > 50) this.#ids.shift();
  }
}
