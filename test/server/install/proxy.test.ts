import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { download } from '../../../server/install/download.ts';
import { Hub } from '../../../server/install/hub.ts';
import { proxyFor } from '../../../server/install/proxy.ts';
import { Transport } from '../../../server/install/transport.ts';
import { FakeHub } from './fake-hub.ts';
import { hubLab } from './hub-lab.ts';

const password = 's3cret!';

describe('the proxy of an address', () => {
  const nameOf = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env)?.name;

  it.each<[string, Record<string, string>, string | undefined]>([
    ['https://huggingface.co/a', {}, undefined],
    ['https://huggingface.co/a', { HTTPS_PROXY: 'http://proxy.lab:3128' }, 'HTTPS_PROXY, proxy.lab:3128'],
    ['https://huggingface.co/a', { HTTPS_PROXY: 'proxy.lab:3128' }, 'HTTPS_PROXY, proxy.lab:3128'],
    ['https://huggingface.co/a', { HTTP_PROXY: 'http://proxy.lab:3128' }, undefined],
    ['http://mirror.lab/a', { HTTP_PROXY: 'http://proxy.lab:3128' }, 'HTTP_PROXY, proxy.lab:3128'],
    [
      'https://huggingface.co/a',
      { https_proxy: 'http://small:1', HTTPS_PROXY: 'http://large:1' },
      'https_proxy, small:1',
    ],
    ['https://huggingface.co/a', { ALL_PROXY: 'http://all:1' }, 'ALL_PROXY, all:1'],
    [
      'https://huggingface.co/a',
      { HTTPS_PROXY: `http://me:${password}@proxy.lab:3128` },
      'HTTPS_PROXY, proxy.lab:3128',
    ],
    // Never for local addresses.
    ['http://127.0.0.1:9/a', { HTTP_PROXY: 'http://proxy.lab:3128' }, undefined],
    ['http://localhost:9/a', { ALL_PROXY: 'socks5://proxy.lab:1080' }, undefined],
    ['http://[::1]:9/a', { HTTP_PROXY: 'http://proxy.lab:3128' }, undefined],
    ['https://huggingface.co/a', { HTTPS_PROXY: 'http://p:1', NO_PROXY: '*' }, undefined],
    ['https://cdn.hub.lab/a', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'other.lab, hub.lab' }, undefined],
    ['https://cdn.hub.lab/a', { HTTPS_PROXY: 'http://p:1', no_proxy: '.hub.lab' }, undefined],
    ['https://myhub.lab/a', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'hub.lab' }, 'HTTPS_PROXY, p:1'],
    ['https://hub.lab/a', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'hub.lab:8443' }, 'HTTPS_PROXY, p:1'],
    ['https://hub.lab:8443/a', { HTTPS_PROXY: 'http://p:1', NO_PROXY: 'hub.lab:8443' }, undefined],
  ])('%s with %j', (url, env, expected) => {
    expect(nameOf(url, env)).toBe(expected);
  });

  it('is rejected if it is SOCKS or invalid, without showing its password', () => {
    const refusal = (value: string) => {
      try {
        return nameOf('https://huggingface.co/a', { HTTPS_PROXY: value });
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refusal(`socks5://me:${password}@proxy.lab:1080`)).toMatch(
      /HTTPS_PROXY names a SOCKS proxy, socks5:\/\/proxy\.lab:1080/,
    );
    expect(refusal(`http://me:${password}@`)).toMatch(
      /HTTPS_PROXY is set, but is not the address of a proxy/,
    );
    for (const value of [`socks5://me:${password}@proxy.lab:1080`, `http://me:${password}@`]) {
      expect(refusal(value)).not.toContain(password);
    }
  });
});

describe('through a proxy on loopback', () => {
  let fake: FakeHub;
  let proxy: Server;
  let proxyPort = 0;
  let folder = '';
  const seen: { readonly target: string; readonly headers: IncomingMessage['headers'] }[] = [];
  const bytes = Buffer.from(Array.from({ length: 50_000 }, (_, i) => i % 251));

  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-proxy-'));
    fake = await FakeHub.start();
    fake.publish('lab/model', 'weights.safetensors', bytes);
    proxy = createServer();
    // Every host resolves to this machine, at the requested port.
    proxy.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
      seen.push({ target: request.url ?? '', headers: request.headers });
      client.on('error', () => {});
      if (
        request.headers['proxy-authorization'] !== `Basic ${Buffer.from(`me:${password}`).toString('base64')}`
      ) {
        client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
        return;
      }
      const upstream = connect(Number((request.url ?? '').split(':')[1]), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        upstream.write(head);
        upstream.pipe(client);
        client.pipe(upstream);
      });
      upstream.on('error', () => client.destroy());
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    proxyPort = (proxy.address() as { port: number }).port;
  });
  afterAll(async () => {
    proxy.closeAllConnections();
    proxy.close();
    await fake.close();
    await rm(folder, { recursive: true });
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    seen.length = 0;
    fake.forget();
  });

  async function fetchOne(name: string): Promise<void> {
    const { signal } = new AbortController();
    // A host only the proxy knows, where the hub really is.
    const endpoint = fake.endpoint.replace('127.0.0.1', 'hub.lab');
    const hub = new Hub({ endpoint, signal });
    const options = { signal, log: () => {}, name, firstDelayMs: 1, progress: () => {} };
    const file = await hub.describe({ repo: 'lab/model', path: 'weights.safetensors', revision: 'main' });
    await download(hub, file, path.join(folder, name), options);
  }
  const errorOf = (running: Promise<unknown>) =>
    running.then(
      () => 'no error',
      (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
    );

  it('a file arrives intact, and the proxy only sees hosts', async () => {
    vi.stubEnv('HTTP_PROXY', `http://me:${encodeURIComponent(password)}@127.0.0.1:${proxyPort}`);
    await fetchOne('whole');
    expect(await readFile(path.join(folder, 'whole'))).toEqual(bytes);
    expect(seen.length).toBeGreaterThan(0);
    for (const { target, headers } of seen) {
      expect(target).toMatch(/^hub\.lab:\d+$/);
      expect(headers).not.toHaveProperty('authorization');
    }
  });

  it('encryption is end to end', async () => {
    const server = createSecureServer(hubLab, (_, response) => response.end('over TLS')).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    vi.stubEnv('HTTPS_PROXY', `http://me:${encodeURIComponent(password)}@127.0.0.1:${proxyPort}`);
    const transport = new Transport({ signal: new AbortController().signal });
    const get = () => transport.request('GET', new URL(`https://hub.lab:${port}/`), { check: () => {} });
    // It is self-signed, and rejected as it would be without a proxy.
    expect(await errorOf(get())).toMatch(/self-signed certificate/);
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const { response, end } = await get();
    expect(await response.text()).toBe('over TLS');
    expect(seen.at(-1)?.target).toBe(`hub.lab:${port}`);
    end();
    server.closeAllConnections();
    server.close();
  });

  it('a wrong password is reported at once, without showing it', async () => {
    vi.stubEnv('HTTP_PROXY', `http://me:wrong-${encodeURIComponent(password)}@127.0.0.1:${proxyPort}`);
    const error = await errorOf(fetchOne('refused'));
    expect(error).toMatch(
      new RegExp(
        `^hub-refused: The proxy \\(HTTP_PROXY, 127\\.0\\.0\\.1:${proxyPort}\\) wants another user or password`,
      ),
    );
    expect(error).not.toContain(password);
    expect(seen).toHaveLength(1);
  });

  it('an unreachable proxy is named, without its password', async () => {
    vi.stubEnv('HTTP_PROXY', `http://me:${encodeURIComponent(password)}@127.0.0.1:9`);
    const error = await errorOf(fetchOne('nowhere'));
    expect(error).toMatch(/through the proxy \(HTTP_PROXY, 127\.0\.0\.1:9\): .*ECONNREFUSED/);
    expect(error).not.toContain(password);
  });
});
