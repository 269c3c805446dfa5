import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import manifest from '../../manifest.json' with { type: 'json' };
import { createClient } from '../../plugins/panel/client/client.ts';
import { createConnection } from '../../plugins/panel/models/connection.ts';
import { createPairing } from '../../plugins/panel/models/pairing.ts';
import { freePort, RunningCompanion } from '../server/http/running-companion.ts';

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

type Answering = (request: IncomingMessage, response: ServerResponse) => void;

/** Another program that listens where a companion might, and records everything it is sent. */
async function impostor(
  answer: Answering,
  port = 0,
): Promise<{ url: string; port: number; heard: string[] }> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(`${request.method} ${request.url} ${JSON.stringify(request.rawHeaders)}`);
    request.on('data', (data) => heard.push(String(data)));
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  releases.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  const taken = typeof address === 'object' && address ? address.port : 0;
  return { url: `http://127.0.0.1:${taken}`, port: taken, heard };
}

const engine = { state: 'idle', provider: null, model: null };
/** Claims to be a companion, and accepts everything. */
const yes: Answering = (request, response) => {
  response.setHeader('content-type', 'application/json');
  const { name, version, protocol } = manifest;
  const isHealth = request.url?.startsWith('/v1/health');
  response.end(
    JSON.stringify(isHealth ? { name, version, protocol, engine, proof: 'ab'.repeat(32) } : { models: [] }),
  );
};
/** Relays everything to a companion on another port, and its responses back. */
const passOn =
  (port: number): Answering =>
  (request, response) => {
    const { method, url, headers } = request;
    const onward = httpRequest(
      { port, host: '127.0.0.1', method, path: url, headers: { ...headers, host: `127.0.0.1:${port}` } },
      (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  };

async function companion(): Promise<RunningCompanion> {
  const running = await RunningCompanion.start();
  releases.push(() => running.remove());
  return running;
}

function open(companions: readonly string[], kept: Record<string, string>) {
  const storage = {
    get: async (key: string) => kept[key],
    set: async (key: string, value: string) => {
      kept[key] = value;
    },
  };
  const connection = createConnection({ companions, storage });
  releases.push(connection.start());
  const reaches = (kind: string) =>
    vi.waitFor(() => expect(connection.state.value).toMatchObject({ kind }), {
      timeout: 20_000,
      interval: 20,
    });
  return { connection, reaches };
}

const at = (running: RunningCompanion) => `http://127.0.0.1:${running.url.port}`;

describe('a program that took the companion’s port', () => {
  test.each([
    'says yes to everything',
    'passes everything on',
  ])('and %s gets no token, and the companion is found', async (how) => {
    const real = await companion();
    const other = await impostor(how.startsWith('says') ? yes : passOn(Number(real.url.port)));
    const { connection, reaches } = open([other.url, at(real)], { token: real.token });
    await reaches('connected');
    expect(connection.client().url).toBe(at(real));
    expect(other.heard.length).toBeGreaterThan(0);
    expect(other.heard.join()).not.toContain(real.token);
  });

  test('gets nothing if there is no companion, and the person is told', async () => {
    const other = await impostor(yes);
    const { connection, reaches } = open([other.url], { token: 'a-token-that-is-secret' });
    await reaches('refused');
    const state = connection.state.value;
    expect(state.kind === 'refused' && state.error.message).toMatch(/not prove.*not sent/);
    await connection
      .client()
      .models()
      .catch(() => undefined);
    await connection
      .client()
      .put('x', new Uint8Array(3))
      .catch(() => undefined);
    expect(other.heard.join()).not.toContain('secret');
    expect(other.heard.join()).not.toMatch(/authorization/i);
  });

  test('after the companion exited gets neither the token nor the next picture', async () => {
    const port = await freePort();
    const real = await RunningCompanion.start({ env: { ACEPP_PORT: String(port) } });
    releases.push(() => real.remove());
    const client = createClient(`http://127.0.0.1:${port}`, real.token);
    await client.models();
    await real.stop();
    // The connection is lost: whatever answers next must prove itself again, however soon.
    await client.models().catch(() => undefined);
    const other = await impostor(yes, port);
    await expect(client.put('id', new TextEncoder().encode('the picture'))).rejects.toMatchObject({
      code: 'token-wrong',
    });
    expect(other.heard.join()).not.toMatch(/authorization|the picture/i);
    expect(other.heard.join()).not.toContain(real.token);
  });

  test('is asked for proof again after a moment of silence', async () => {
    const port = await freePort();
    const real = await RunningCompanion.start({ env: { ACEPP_PORT: String(port) } });
    releases.push(() => real.remove());
    const client = createClient(`http://127.0.0.1:${port}`, real.token);
    await client.models();
    await real.stop();
    const other = await impostor(yes, port);
    await sleep(2100);
    await expect(client.models()).rejects.toMatchObject({ code: 'token-wrong' });
    expect(other.heard.join()).not.toMatch(/authorization/i);
  });
});

describe('a token', () => {
  test('from a link is stored once accepted, and replaces nothing before', async () => {
    const real = await companion();
    const kept = { token: real.token };
    const { connection, reaches } = open([at(real)], kept);
    await reaches('connected');
    await expect(connection.useToken('made-up-by-another-page')).rejects.toMatchObject({
      code: 'token-wrong',
    });
    expect(kept.token).toBe(real.token);
    await reaches('connected');
    await createPairing(connection).answer(`${at(real)}/#token=made-up`);
    expect(kept.token).toBe(real.token);
  });

  test('of a 0.1.0 panel, which it shared with programs, still works', async () => {
    const real = await companion();
    await open([at(real)], { token: real.token }).reaches('connected');
  });
});
