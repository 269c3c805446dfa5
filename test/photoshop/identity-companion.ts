import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import manifest from '../../manifest.json' with { type: 'json' };
import { CodedError } from '../../shared/errors.ts';
import { maskBounds } from '../../shared/mask.ts';
import type { Accepted, Health, History, Models, Poll } from '../../shared/protocol/answers.ts';
import type { EditEvent } from '../../shared/protocol/events.ts';
import type { Problem } from '../../shared/protocol/problem.ts';
import { proofOf, tokenKey } from '../../shared/protocol/proof.ts';
import type { EditResult } from '../../shared/protocol/result.ts';
import {
  asU16,
  bytesOf,
  type Container,
  decodeContainer,
  encodeContainer,
} from '../../shared/safetensors.ts';

/** A token that lets the panel connect; what the panel sends isn't checked. */
export const anyToken = 'any';

/**
 * Implements the companion's protocol and returns every picture unchanged, under its mask: what a host
 * changes on the way there and back is then the host's doing. No picture comes from it but the one that was
 * sent.
 */
export class IdentityCompanion {
  readonly edits = new Map<string, Container>();
  #server: Server | undefined;
  #url = '';
  /** While set, edits don't finish. */
  isHeld = false;
  /** How each sample is changed. */
  change: (value: number) => number = (value) => value;

  get url(): string {
    return this.#url;
  }

  async listen(): Promise<void> {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve) => this.#server!.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address === 'object' && address) this.#url = `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(undefined)));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.#url);
    const json = (status: number, value: Health | Models | History | Accepted | Poll | Problem): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    if (url.pathname === '/v1/health') {
      const { name, version, protocol } = manifest;
      const proof = proofOf(tokenKey(anyToken), url.searchParams.get('nonce') ?? '', Number(url.port));
      const engine = { state: 'idle', provider: null, model: null } as const;
      return json(200, { name, version, protocol, engine, proof });
    }
    const id = url.pathname.split('/')[3];
    if (url.pathname === '/v1/models') return json(200, { models: [] });
    if (!id) return json(200, { edits: [], next: null });
    if (request.method === 'PUT') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.edits.set(id, decodeContainer(Buffer.concat(chunks)));
      return json(202, { id, state: 'queued', position: 0 });
    }
    const edit = this.edits.get(id);
    if (!edit) {
      const error = new CodedError('not-found', { detail: `No edit ${id}.`, remedy: 'Send it first.' });
      return json(404, error.toProblem());
    }
    const layer = identityOf(edit, this.change);
    if (url.pathname.endsWith('/result')) {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      response.end(encodeContainer(layer));
      return;
    }
    while (this.isHeld) await new Promise((resolve) => setTimeout(resolve, 20));
    const done: EditEvent = { seq: 1, time: '', type: 'done', results: [resultOf(edit, layer)] };
    json(200, { id, state: 'done', events: [done], next: 1 });
  }
}

function resultOf(edit: Container, layer: Container): EditResult {
  return {
    variant: 0,
    bounds: JSON.parse(layer.metadata.bounds!),
    seed: 7,
    steps: 1,
    guidance: 1,
    task: JSON.parse(edit.metadata.request!).task ?? 'inpaint',
    model: 'identity',
    adapters: [],
    provider: 'cpu',
    workSize: { width: 16, height: 16 },
    timings: {},
  };
}

function identityOf({ tensors }: Container, change: (value: number) => number): Container {
  const edit = tensors.get('edit')!;
  const [height, width] = edit.shape as [number, number];
  const deep = edit.dtype === 'U16';
  const source = deep ? asU16(edit.data) : edit.data;
  const mask = tensors.get('mask')?.data ?? new Uint8Array(width * height).fill(255);
  const bounds = maskBounds({ width, height, data: mask })!;
  const count = bounds.width * bounds.height * 4;
  const data = deep ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < bounds.width * bounds.height; i++) {
    const x = bounds.left + (i % bounds.width);
    const from = (bounds.top + Math.floor(i / bounds.width)) * width + x;
    for (let c = 0; c < 3; c++) data[i * 4 + c] = change(source[from * 4 + c]!);
    data[i * 4 + 3] = mask[from]! * (deep ? 257 : 1);
  }
  const shape = [bounds.height, bounds.width, 4];
  return {
    metadata: { bounds: JSON.stringify(bounds), seed: '7' },
    tensors: new Map([['layer', { dtype: edit.dtype, shape, data: bytesOf(data) }]]),
  };
}
