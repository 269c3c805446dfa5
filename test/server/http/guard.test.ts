import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeContainer } from '../../../shared/safetensors.ts';
import { type Asking, pixels, RunningCompanion, squareEdit } from './running-companion.ts';

let companion: RunningCompanion;
beforeAll(async () => {
  companion = await RunningCompanion.start();
});
afterAll(() => companion.remove());

async function refusal(pathname: string, asking: Asking = {}): Promise<unknown[]> {
  const answer = await companion.ask(pathname, asking);
  expect(answer.headers['content-type']).toBe('application/problem+json');
  const problem = answer.json();
  expect(problem).toEqual({
    type: `urn:acepp:${problem.code}`,
    title: expect.any(String),
    status: answer.status,
    code: expect.any(String),
    detail: expect.any(String),
    remedy: expect.any(String),
  });
  return [answer.status, problem.code];
}

describe('access to the companion', () => {
  const routes: [string, string][] = [
    ['PUT', `/v1/edits/${randomUUID()}`],
    ['GET', `/v1/edits/${randomUUID()}`],
    ['DELETE', `/v1/edits/${randomUUID()}`],
    ['GET', `/v1/edits/${randomUUID()}/result`],
    ['GET', '/v1/edits'],
    ['GET', '/v1/models'],
    ['GET', '/v1/nothing'],
  ];
  it.each(routes)('%s %s needs the token', async (method, pathname) => {
    expect(await refusal(pathname, { method, headers: { authorization: '' } })).toEqual([
      401,
      'token-missing',
    ]);
    const wrong = { authorization: `Bearer ${companion.token.slice(0, -1)}` };
    expect(await refusal(pathname, { method, headers: wrong })).toEqual([401, 'token-wrong']);
    const basic = { authorization: `Basic ${companion.token}` };
    expect(await refusal(pathname, { method, headers: basic })).toEqual([401, 'token-missing']);
  });

  it.each(
    routes,
  )('%s %s needs the token also where its address is written in another way', async (method, pathname) => {
    const { origin } = companion.url;
    for (const other of [
      pathname.replace('v', '%76'),
      pathname.replace('1', '%31'),
      `${origin}${pathname}`,
    ]) {
      const answer = await companion.ask(other, { method, headers: { authorization: '', origin: 'null' } });
      // An unknown path reveals nothing.
      expect([401, 404], other).toContain(answer.status);
      if (pathname !== '/v1/nothing') expect(answer.status, other).toBe(401);
    }
  });

  it.each([...routes, ['GET', '/'], ['GET', '/v1/health'], ['OPTIONS', '/v1/edits']] as [
    string,
    string,
  ][])('%s %s is refused to a page of another site, with the token or without', async (method, pathname) => {
    const others = [
      'https://evil.example',
      'http://127.0.0.1:1',
      'http://localhost',
      'file:///home/page.html',
      'file://evil.example',
      'https://uxp.example',
      'xuxp://panel',
      'uxp:a b',
    ];
    for (const origin of others) {
      const answer = await companion.ask(pathname, { method, headers: { origin } });
      expect([answer.status, answer.json().code]).toEqual([403, 'origin-refused']);
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it.each([...routes, ['GET', '/'], ['GET', '/v1/health']] as [
    string,
    string,
  ][])('%s %s is refused under a name that was bent to loopback', async (method, pathname) => {
    const { port } = companion.url;
    for (const host of [
      `evil.example:${port}`,
      'localhost',
      '127.0.0.1:1',
      `127.0.0.1.evil.example:${port}`,
    ]) {
      expect(await refusal(pathname, { method, headers: { host } })).toEqual([403, 'host-refused']);
    }
  });

  it('answers under every loopback name', async () => {
    const { port } = companion.url;
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]) {
      expect((await companion.ask('/v1/models', { headers: { host } })).status).toBe(200);
    }
  });

  it('lets its own page, and pages without an origin, read everything, errors included', async () => {
    const own = [companion.url.origin, `http://localhost:${companion.url.port}`];
    // UXP sends one of the last three, or none. Like "null", they identify nobody, so the token decides.
    for (const origin of [...own, 'null', 'file://', 'uxp://org.aceplusplus.layers', 'uxp:internal']) {
      for (const pathname of ['/v1/models', '/v1/edits/no-uuid', '/nothing']) {
        const answer = await companion.ask(pathname, { headers: { origin } });
        expect(answer.headers['access-control-allow-origin']).toBe(origin);
        expect(answer.headers['access-control-expose-headers']).toContain('x-acepp-bounds');
        expect(answer.headers.vary).toContain('Origin');
      }
      const missing = await companion.ask('/v1/models', { headers: { origin, authorization: '' } });
      expect([missing.status, missing.headers['access-control-allow-origin']]).toEqual([401, origin]);
    }
  });

  it('answers a preflight without a token, with what a panel may send', async () => {
    const answer = await companion.ask(`/v1/edits/${randomUUID()}`, {
      method: 'OPTIONS',
      headers: {
        origin: 'null',
        authorization: '',
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'authorization,content-type,x-acepp-client,cookie',
      },
    });
    expect(answer.status).toBe(204);
    expect(answer.headers['access-control-allow-origin']).toBe('null');
    expect(answer.headers['access-control-allow-methods']).toContain('PUT');
    expect(answer.headers['access-control-allow-headers']).toBe(
      'authorization, content-type, accept, x-acepp-client',
    );
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
  });

  it('serves its page with a policy that blocks everything foreign', async () => {
    const page = await companion.ask('/', { headers: { authorization: '' } });
    expect(page.status).toBe(200);
    expect(page.headers['content-security-policy']).toContain("default-src 'self'");
    expect(page.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(page.headers['x-content-type-options']).toBe('nosniff');
    expect(page.headers['referrer-policy']).toBe('no-referrer');
    expect(page.body.toString()).not.toContain(companion.token);
  });

  it('serves no files but those of its page', async () => {
    for (const pathname of ['/../server/main.js', '/%2e%2e/server/main.js', '/..%2fserver/main.js']) {
      const answer = await companion.ask(pathname);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.headers['content-type']).toBe('application/problem+json');
    }
  });
});

describe('malformed requests', () => {
  const request = JSON.stringify({ version: 1, instruction: 'a red circle' });
  const edit = pixels([16, 16, 3], () => 1);
  const good = squareEdit({ side: 32 });

  function withHeader(header: string, data = 0, length = Buffer.byteLength(header)): Uint8Array {
    const bytes = Buffer.alloc(8 + Buffer.byteLength(header) + data);
    bytes.writeBigUInt64LE(BigInt(length), 0);
    bytes.write(header, 8);
    return bytes;
  }
  const lying = (begin: number, end: number) =>
    withHeader(
      JSON.stringify({
        __metadata__: { request },
        edit: { dtype: 'U8', shape: [2, 2, 3], data_offsets: [begin, end] },
      }),
      12,
    );
  const container = (tensors: object, text: string | undefined = request) =>
    encodeContainer({
      metadata: text === undefined ? {} : { request: text },
      tensors: new Map(Object.entries(tensors)),
    });

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'container-invalid'],
    ['five bytes', new Uint8Array(5), 'container-invalid'],
    ['the first half of one', good.subarray(0, good.length / 2), 'container-invalid'],
    ['a header of 2^60 bytes', withHeader('{}', 0, 2 ** 60), 'container-invalid'],
    ['a header of 90 MB that is not there', withHeader('{}', 0, 90_000_000), 'container-invalid'],
    ['a header of 2 MB', withHeader(' '.repeat(2_000_000)), 'container-invalid'],
    ['a header that is not JSON', withHeader('{"edit": '), 'container-invalid'],
    ['a header that is a list', withHeader('[]'), 'container-invalid'],
    ['a tensor beyond the end', lying(0, 1200), 'container-invalid'],
    ['a tensor that ends before it begins', lying(12, 0), 'container-invalid'],
    ['a tensor before the beginning', lying(-12, 0), 'container-invalid'],
    ['a tensor shorter than its shape', lying(0, 6), 'container-invalid'],
    ['no request in it', encodeContainer({ metadata: {}, tensors: new Map() }), 'request-invalid'],
    ['a request that is not JSON', container({}, 'a red circle'), 'request-invalid'],
    [
      'a field nobody knows',
      container({ edit }, '{"version":1,"instruction":"x","colour":1}'),
      'request-invalid',
    ],
    ['another version', container({ edit }, '{"version":2,"instruction":"x"}'), 'request-invalid'],
    ['a tensor nobody knows', container({ edit, weights: edit }), 'request-invalid'],
    ['the picture twice', container({ edit, 'edit.png': edit }), 'request-invalid'],
    ['a gap in the references', container({ 'reference.0': edit, 'reference.2': edit }), 'request-invalid'],
    ['a mask without a picture', container({ mask: pixels([4, 4], () => 1) }), 'task-needs'],
    [
      'no instruction where one is needed',
      container({ edit }, '{"version":1,"instruction":" "}'),
      'instruction-empty',
    ],
  ])('%s is rejected', async (_, body, code) => {
    const id = randomUUID();
    const [status, found] = await refusal(`/v1/edits/${id}`, { method: 'PUT', body });
    expect(found).toBe(code);
    expect(status).toBe(code.startsWith('task') || code.startsWith('instruction') ? 422 : 400);
    // Nothing is left of it, so the ID can be reused.
    expect(await refusal(`/v1/edits/${id}`)).toEqual([404, 'not-found']);
    expect(await readdir(path.join(companion.home, 'edits'))).toEqual(['.incoming']);
    expect(await readdir(path.join(companion.home, 'edits/.incoming'))).toEqual([]);
  });

  it('rejects a gigabyte body at its first byte', async () => {
    const headers = { 'content-length': '1000000000' };
    const answer = await startOfRequest(`/v1/edits/${randomUUID()}`, headers);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('"code":"too-large"');
  });

  it('leaves nothing behind of a truncated body', async () => {
    const socket = connect(Number(companion.url.port), '127.0.0.1');
    socket.write(
      `PUT /v1/edits/${randomUUID()} HTTP/1.1\r\nHost: ${companion.url.host}\r\nAuthorization: Bearer ${companion.token}\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`,
    );
    const incoming = () => readdir(path.join(companion.home, 'edits/.incoming'));
    await expect.poll(incoming).toHaveLength(1);
    socket.destroy();
    await expect.poll(incoming).toEqual([]);
  });

  it('rejects invalid IDs and numbers', async () => {
    for (const id of ['1', '..%2f..%2ftoken', 'x'.repeat(90), `${randomUUID()}0`]) {
      expect(await refusal(`/v1/edits/${id}`, { method: 'PUT', body: good })).toEqual([
        400,
        'request-invalid',
      ]);
    }
    for (const query of ['after=x', 'wait=-1', 'after=1&after=2']) {
      expect(await refusal(`/v1/edits/${randomUUID()}?${query}`)).toEqual([400, 'request-invalid']);
    }
    expect(await refusal(`/v1/edits?before=${randomUUID()}`)).toEqual([404, 'not-found']);
  });

  it('returns a problem document for an unknown path and an unknown method', async () => {
    expect(await refusal('/v1/nothing')).toEqual([404, 'not-found']);
    expect(await refusal('/%zz')).toEqual([400, 'request-invalid']);
    expect(await refusal('/v1/models', { method: 'POST' })).toEqual([404, 'not-found']);
  });
});

function startOfRequest(pathname: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(companion.url.port), '127.0.0.1');
    const lines = Object.entries({
      host: companion.url.host,
      authorization: `Bearer ${companion.token}`,
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`PUT ${pathname} HTTP/1.1\r\n${lines.join('')}\r\nx`);
    socket.once('data', (data) => {
      resolve(data.toString());
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
