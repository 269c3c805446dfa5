import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import manifest from '../../manifest.json' with { type: 'json' };
import { CodedError } from '../../shared/errors.ts';
import type {
  Accepted,
  Cancelled,
  Health,
  History,
  ModelInfo,
  Models,
  Poll,
} from '../../shared/protocol/answers.ts';
import type { EditEvent, EditEventBody } from '../../shared/protocol/events.ts';
import type { Problem } from '../../shared/protocol/problem.ts';
import { keyId, proofOf, tokenKey } from '../../shared/protocol/proof.ts';
import { type Container, decodeContainer, encodeContainer } from '../../shared/safetensors.ts';

export const token = 'the-right-token';

/**
 * Implements the companion's protocol over real HTTP, with scripted events, for cases no engine produces on
 * demand.
 */
export class ScriptedCompanion {
  readonly edits = new Map<string, Container>();
  readonly cancelled: string[] = [];
  models: ModelInfo[] = [
    {
      id: 'pocket',
      title: 'Pocket',
      maxSequence: 144,
      defaultContext: 0.25,
      defaultSteps: 12,
      defaultGuidance: 4,
      namesReferences: true,
      adapters: [],
    },
  ];
  /** Its health report; a test can make it another program or another version. */
  health = { name: manifest.name, version: manifest.version, protocol: manifest.protocol };
  /** Replacement response bodies by path: what a faulty or foreign program would send. */
  readonly wrong = new Map<string, unknown>();
  private readonly events: EditEvent[] = [];
  private server: Server | undefined;
  private port = 0;
  private wake = (): void => {};

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Listens on a free port, or again on its previous port. */
  async listen(): Promise<void> {
    this.server = createServer((request, response) => void this.answer(request, response));
    await new Promise<void>((resolve) => this.server!.listen(this.port, '127.0.0.1', resolve));
    const address = this.server.address();
    if (typeof address === 'object' && address) this.port = address.port;
  }

  async close(): Promise<void> {
    this.server?.closeAllConnections();
    await new Promise((resolve) => (this.server ? this.server.close(resolve) : resolve(undefined)));
  }

  tell(...bodies: EditEventBody[]): void {
    for (const body of bodies) {
      this.events.push({ seq: this.events.length + 1, time: new Date().toISOString(), ...body });
    }
    this.wake();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.url);
    const json = (
      status: number,
      value: Health | Models | History | Accepted | Poll | Cancelled | Problem,
    ): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    const wrong = this.wrong.get(url.pathname);
    if (wrong !== undefined) {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(wrong));
      return;
    }
    if (url.pathname === '/v1/health') {
      const { nonce, key } = Object.fromEntries(url.searchParams);
      const isAsked = nonce !== undefined && key === keyId(tokenKey(token));
      return json(200, {
        ...this.health,
        engine: { state: 'idle', provider: null, model: null },
        ...(isAsked && { proof: proofOf(tokenKey(token), nonce, this.port) }),
      });
    }
    if (request.headers.authorization !== `Bearer ${token}`) {
      const code = request.headers.authorization ? 'token-wrong' : 'token-missing';
      const error = new CodedError(code, { detail: 'Who are you?', remedy: 'Open the printed link.' });
      return json(401, error.toProblem());
    }
    if (url.pathname === '/v1/models') return json(200, { models: this.models });
    const id = url.pathname.split('/')[3];
    if (!id) return json(200, { edits: [], next: null });
    if (request.method === 'PUT') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.edits.set(id, decodeContainer(Buffer.concat(chunks)));
      return json(202, { id, state: 'queued', position: 0 });
    }
    if (!this.edits.has(id)) {
      const error = new CodedError('not-found', { detail: `No edit ${id}.`, remedy: 'Send it first.' });
      return json(404, error.toProblem());
    }
    if (request.method === 'DELETE') {
      this.cancelled.push(id);
      return json(202, { id, state: 'cancelled' });
    }
    if (url.pathname.endsWith('/result')) {
      const variant = Number(url.searchParams.get('variant'));
      const body = encodeContainer({
        metadata: { bounds: JSON.stringify({ left: 3, top: 4, width: 2, height: 1 }) },
        tensors: new Map([
          ['layer', { dtype: 'U8', shape: [1, 2, 4], data: new Uint8Array(8).fill(variant + 1) }],
        ]),
      });
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      response.end(body);
      return;
    }
    const after = Number(url.searchParams.get('after'));
    if (this.events.length <= after) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const events = this.events.slice(after);
    json(200, { id, state: 'running', events, next: after + events.length });
  }
}
