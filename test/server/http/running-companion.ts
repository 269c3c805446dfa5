import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../../server/disk/paths.ts';
import type { Poll } from '../../../shared/protocol/answers.ts';
import type { EditEvent } from '../../../shared/protocol/events.ts';
import { encodeContainer, type Tensor } from '../../../shared/safetensors.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  json<T = Record<string, unknown>>(): T;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
}

/** A data folder with the model `tiny`: the four networks in the official layout, with random weights. */
export async function temporaryHome(): Promise<string> {
  const home = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
  await mkdir(path.join(home, 'models'));
  const tiny = path.join(projectRoot, 'test/reference/arrays/tiny');
  await symlink(tiny, path.join(home, 'models/tiny'), 'junction');
  return home;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || !address) throw new Error('no port');
  return address.port;
}

/** The real companion: the bundle that `npm start` runs, in its own process. */
export class RunningCompanion {
  private constructor(
    readonly child: ChildProcess,
    readonly home: string,
    readonly url: URL,
    readonly stdout: () => string,
    readonly stderr: () => string,
  ) {}

  static async start(
    options: { home?: string; env?: NodeJS.ProcessEnv; args?: string[] } = {},
  ): Promise<RunningCompanion> {
    const home = options.home ?? (await temporaryHome());
    const env = { ...process.env, ACEPP_HOME: home, ACEPP_PORT: String(await freePort()), CI: 'true' };
    const program = path.join(projectRoot, 'dist/server/acepp.js');
    const args = [program, 'start', '--provider', 'cpu', ...(options.args ?? [])];
    const child = spawn(process.execPath, args, {
      env: { ...env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const url = await new Promise<URL>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
        if (stdout.includes('\n')) resolve(new URL(stdout.trim()));
      });
      child.once('close', () => reject(new Error(`the companion ended: ${stderr}`)));
    });
    return new RunningCompanion(
      child,
      home,
      url,
      () => stdout,
      () => stderr,
    );
  }

  get token(): string {
    return new URLSearchParams(this.url.hash.slice(1)).get('token')!;
  }

  /**
   * Sends the token unless its header is given as empty; uses plain sockets so that any header can be sent.
   */
  ask(pathname: string, { method = 'GET', headers = {}, body }: Asking = {}): Promise<Answer> {
    const { hostname, port } = this.url;
    const all = Object.entries({ authorization: `Bearer ${this.token}`, ...headers });
    const given = Object.fromEntries(all.filter(([, value]) => value !== ''));
    return new Promise((resolve, reject) => {
      const request = httpRequest({ hostname, port, path: pathname, method, headers: given }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const content = Buffer.concat(chunks);
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            body: content,
            json: <T>() => JSON.parse(content.toString()) as T,
          });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  put(body: Uint8Array, id: string = randomUUID()): Promise<Answer> {
    return this.ask(`/v1/edits/${id}`, { method: 'PUT', body });
  }

  /** Sends an edit and returns its ID. */
  async send(body: Uint8Array): Promise<string> {
    const id = randomUUID();
    const answer = await this.put(body, id);
    if (answer.status !== 202) throw new Error(answer.body.toString());
    return id;
  }

  /** Polls until the wanted event, or the end of the edit; returns all events so far. */
  async follow(id: string, until: (event: EditEvent) => boolean = () => false): Promise<EditEvent[]> {
    const events: EditEvent[] = [];
    for (let after = 0; ; after = events.at(-1)?.seq ?? 0) {
      const poll = (await this.ask(`/v1/edits/${id}?after=${after}&wait=20`)).json<Poll>();
      events.push(...poll.events);
      if (poll.events.some(until) || !['queued', 'running'].includes(poll.state)) return events;
    }
  }

  /** The engine's process ID; undefined if none is running. */
  enginePid(): number | undefined {
    const { pid } = this.child;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return children.map(Number).find((child) => {
      const file = `/proc/${child}/cmdline`;
      return child > 0 && existsSync(file) && readFileSync(file, 'utf8').includes('engine.js');
    });
  }

  /** Stops it like Ctrl-C; returns the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const ended = new Promise<number | null>((resolve) => this.child.once('close', resolve));
    this.child.kill(signal);
    return ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.home, { recursive: true, force: true });
  }
}

/** Computed pixels, so that no file is needed. */
export function pixels(shape: readonly number[], at: (i: number) => number): Tensor {
  const data = new Uint8Array(shape.reduce((product, size) => product * size, 1));
  for (let i = 0; i < data.length; i++) data[i] = at(i);
  return { dtype: 'U8', shape, data };
}

export interface Square {
  readonly side: number;
  readonly request?: object;
}

/** A square picture with a centred square mask of half its side, for the model `tiny` at few tokens. */
export function squareEdit({ side, request = {} }: Square): Uint8Array<ArrayBuffer> {
  const small = { model: 'tiny', window: { maxSequence: 64 } };
  const all = { version: 1, instruction: 'a red circle', seed: 7, ...small, ...request };
  const isInside = (i: number) => i >= side / 4 && i < (side * 3) / 4;
  return encodeContainer({
    metadata: { request: JSON.stringify(all) },
    tensors: new Map([
      ['edit', pixels([side, side, 3], (i) => (i * 7) % 251)],
      ['mask', pixels([side, side], (i) => (isInside(i % side) && isInside(Math.floor(i / side)) ? 255 : 0))],
    ]),
  });
}
