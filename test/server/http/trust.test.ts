import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import parsePrometheus from 'parse-prometheus-text-format';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import manifest from '../../../manifest.json' with { type: 'json' };
import { projectRoot } from '../../../server/disk/paths.ts';
import { resultFile } from '../../../server/engine/edit-files.ts';
import { openLog } from '../../../server/http/log.ts';
import { Tickets } from '../../../server/http/page.ts';
import { Tokens } from '../../../server/http/tokens.ts';
import { keyId, proofOf, tokenKey } from '../../../shared/protocol/proof.ts';
import { encodeContainer } from '../../../shared/safetensors.ts';
import { freePort, RunningCompanion, squareEdit, temporaryHome } from './running-companion.ts';

const quick = squareEdit({ side: 16, request: { steps: 1, instruction: 'a very private wish' } });

/** Runs the command line on a data folder. */
async function acepp(home: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [path.join(projectRoot, 'dist/server/acepp.js'), ...args], {
    env: { ...process.env, ACEPP_HOME: home, ...env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

describe('a running companion', () => {
  let companion: RunningCompanion;
  beforeAll(async () => {
    companion = await RunningCompanion.start();
  });
  afterAll(() => companion.remove());

  it('proves that it knows a token, only for its own port', async () => {
    const key = tokenKey(companion.token);
    const nonce = 'ab'.repeat(16);
    const ask = async (query: string) =>
      (await companion.ask(`/v1/health?${query}`, { headers: { authorization: '' } })).json();
    const port = Number(companion.url.port);
    expect((await ask(`nonce=${nonce}&key=${keyId(key)}`)).proof).toBe(proofOf(key, nonce, port));
    expect(await ask(`nonce=${nonce}&key=${keyId(tokenKey('other'))}`)).not.toHaveProperty('proof');
    expect(await ask('nonce=short&key=x')).toMatchObject({ code: 'request-invalid' });
    expect(await ask('')).not.toHaveProperty('proof');
  });

  it('answers repeated query parameters without a server error', async () => {
    for (const query of ['before=a&before=b', 'q=a&q=b', 'q[]=a&q[]=b&before=']) {
      const answer = await companion.ask(`/v1/edits?${query}`);
      expect(answer.status, query).toBeLessThan(500);
    }
  });

  it('redirects its page from another host name to its own, keeping the rest of the address', async () => {
    const { port } = companion.url;
    for (const host of [`127.0.0.1:${port}`, `[::1]:${port}`]) {
      const answer = await companion.ask('/index.html?x=1', { headers: { host, authorization: '' } });
      expect([answer.status, answer.headers.location]).toEqual([
        308,
        `http://localhost:${port}/index.html?x=1`,
      ]);
      // Panels and programs aren't redirected.
      expect((await companion.ask('/v1/models', { headers: { host } })).status).toBe(200);
    }
    expect(companion.url.hostname).toBe('localhost');
  });

  it('serves its page with an opener policy', async () => {
    const page = await companion.ask('/', { headers: { host: `localhost:${companion.url.port}` } });
    expect(page.headers['cross-origin-opener-policy']).toBe('same-origin');
  });

  it.each([
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 403],
    ['a header of 20 kB', `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['a length below 0', 'PUT /v1/edits/x HTTP/1.1\r\ncontent-length: -1\r\n\r\n', 400],
    ['an expectation', 'GET / HTTP/1.1\r\nhost: localhost\r\nexpect: magic\r\n\r\n', 417],
    ['a tunnel', 'CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n', 400],
  ])('returns a problem document for %s', async (_, bytes, status) => {
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(companion.url.port), '127.0.0.1', () => socket.write(bytes));
      let text = '';
      socket.on('data', (data) => {
        text += data;
        if (text.includes('}')) socket.destroy();
      });
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer).toMatch(/content-type: application\/problem\+json/i);
    expect(JSON.parse(/\{.*\}/.exec(answer)![0])).toMatchObject({ detail: expect.any(String) });
  });

  it('reports a missing or truncated result with its own status, in each format', async () => {
    const id = await companion.send(quick);
    await companion.follow(id);
    const file = resultFile(path.join(companion.home, 'edits', id), 0);
    const bytes = await readFile(file);
    for (const damage of [bytes.subarray(0, -1), bytes.subarray(0, 10), undefined]) {
      if (damage) await writeFile(file, damage);
      else await rm(file);
      for (const accept of ['*/*', 'image/png']) {
        const answer = await companion.ask(`/v1/edits/${id}/result`, { headers: { accept } });
        expect([answer.status, answer.json().code]).toEqual([500, 'result-damaged']);
      }
    }
  });

  it('rejects 268 million pixels, and files that do not match their type', async () => {
    const request = (fields: object) =>
      JSON.stringify({ version: 1, instruction: 'a red circle', ...fields });
    const large = encodeContainer({
      metadata: { request: request({ width: 16384, height: 16384 }) },
      tensors: new Map(),
    });
    expect((await companion.put(large)).json()).toMatchObject({ code: 'too-large', status: 413 });
    for (const [name, start] of [
      ['edit.png', 'GIF89a'],
      ['edit.jpg', '<svg xmlns='],
      ['edit.webp', 'RIFFxxxxWAVE'],
      ['edit.png', ''],
    ] as const) {
      const data = Buffer.from(start);
      const tensors = new Map([[name, { dtype: 'U8' as const, shape: [data.length], data }]]);
      const body = encodeContainer({ metadata: { request: request({}) }, tensors });
      expect((await companion.put(body)).json(), name).toMatchObject({ code: 'image-invalid', status: 400 });
    }
  });

  it('exposes its queue and history over HTTP', async () => {
    const id = await companion.send(quick);
    await companion.follow(id);
    const thumbnail = await companion.ask(`/v1/edits/${id}/thumbnail`);
    expect([thumbnail.status, thumbnail.headers['content-type']]).toEqual([200, 'image/png']);
    expect((await companion.ask(`/v1/edits/${id}/pin`, { method: 'PUT' })).status).toBe(204);
    const found = (await companion.ask('/v1/edits?q=private+wish')).json<{ edits: object[] }>();
    expect(found.edits[0]).toMatchObject({ id, pinned: true });
    const again = randomUUID();
    const accepted = await companion.ask(`/v1/edits/${again}?from=${id}`, { method: 'PUT' });
    expect(accepted.json()).toEqual({ id: again, state: 'queued', position: 0 });
    expect((await companion.follow(again)).at(-1)).toMatchObject({ type: 'done' });
    expect((await companion.ask(`/v1/history/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await companion.ask(`/v1/edits/${id}`)).status).toBe(404);
    expect((await companion.ask('/v1/queue', { method: 'DELETE' })).json()).toEqual({ cancelled: [] });
    expect((await companion.ask('/v1/queue')).json()).toEqual({ edits: [] });
    const body = Buffer.from('{"position":-1}');
    const wrong = await companion.ask(`/v1/queue/${again}`, { method: 'PUT', body });
    expect(wrong.json()).toMatchObject({ code: 'request-invalid' });
  });

  it('exposes Prometheus metrics, only with a token', async () => {
    expect((await companion.ask('/metrics', { headers: { authorization: '' } })).status).toBe(401);
    const answer = await companion.ask('/metrics');
    const metrics = parsePrometheus(answer.body.toString());
    const values = Object.fromEntries(metrics.map(({ name, metrics: found }) => [name, found]));
    expect(values.acepp_edits).toEqual(
      expect.arrayContaining([{ value: expect.stringMatching(/^\d+$/), labels: { state: 'done' } }]),
    );
    for (const name of [
      'acepp_engine',
      'acepp_history_bytes',
      'acepp_edits_ended_total',
      'process_resident_memory_bytes',
    ]) {
      expect(values).toHaveProperty(name);
    }
    expect(answer.body.toString()).not.toMatch(/private/);
  });

  it('lists and changes its edits and tokens from the command line', async () => {
    const env = { ACEPP_PORT: companion.url.port };
    const asked = await companion.ask('/v1/pairings', {
      method: 'POST',
      headers: { authorization: '', origin: 'null' },
    });
    const { pairings } = (await companion.ask('/v1/pairings')).json<{
      pairings: { code: string; asker: string }[];
    }>();
    expect(pairings[0]).toMatchObject({ asker: expect.stringContaining('Figma') });
    expect((await companion.ask('/v1/pairings', { headers: { authorization: '' } })).status).toBe(401);
    const body = Buffer.from(JSON.stringify({ code: pairings[0]!.code }));
    const paired = await companion.ask(`/v1/pairings/${asked.json().id}`, { method: 'PUT', body });
    const authorization = `Bearer ${paired.json().token}`;
    expect((await companion.ask('/v1/models', { headers: { authorization } })).status).toBe(200);
    const list = await acepp(companion.home, ['tokens', 'list'], env);
    const id = /^[0-9a-f-]{36}/.exec(list.output)?.[0] ?? '';
    expect((await acepp(companion.home, ['tokens', 'revoke', id], env)).code).toBe(0);
    expect((await companion.ask('/v1/models', { headers: { authorization } })).status).toBe(401);
    expect(await acepp(companion.home, ['tokens', 'revoke', id], env)).toMatchObject({
      code: 1,
      output: expect.stringContaining('not-found'),
    });
    const edit = await companion.send(quick);
    await companion.follow(edit);
    expect((await acepp(companion.home, ['edits', 'list', 'private'], env)).output).toContain(edit);
    const again = (await acepp(companion.home, ['edits', 'again', edit], env)).output.trim();
    expect((await companion.follow(again)).at(-1)).toMatchObject({ type: 'done' });
    expect((await acepp(companion.home, ['edits', 'remove', edit], env)).code).toBe(0);
    expect((await acepp(companion.home, ['edits', 'pin', edit], env)).output).toContain('not-found');
  });
});

describe('a home', () => {
  let home: string;
  afterEach(() => rm(home, { recursive: true, force: true }));
  const refusal = () =>
    RunningCompanion.start({ home }).then(
      async (companion) => {
        await companion.remove();
        return 'started';
      },
      (error: Error) => error.message,
    );

  it.skipIf(process.platform === 'win32')('is rejected if others can write to it', async () => {
    home = await temporaryHome();
    await chmod(home, 0o777);
    expect(await refusal()).toMatch(/home-unsafe.*777.*chmod go-w/);
  });

  it('is rejected if its token is a single letter', async () => {
    home = await temporaryHome();
    await writeFile(path.join(home, 'token'), 'x\n');
    expect(await refusal()).toMatch(/home-unsafe.*1 characters/);
  });

  it('is rejected if its settings are invalid, with the field', async () => {
    home = await temporaryHome();
    for (const [text, field] of [
      ['{', 'JSON'],
      ['{"history":{"days":-1}}', 'history.days'],
      ['{"histroy":{}}', 'histroy'],
    ] as const) {
      await writeFile(path.join(home, 'config.json'), text);
      expect(await refusal()).toMatch(new RegExp(`config-invalid.*${field}`));
    }
  });

  it('is reported with the reason if it cannot be created', async () => {
    home = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
    await writeFile(path.join(home, 'file'), '');
    const companion = RunningCompanion.start({ home: path.join(home, 'file', 'home') });
    await expect(companion).rejects.toThrow(/disk-unwritable/);
  });

  it('starts with a damaged list of panels, and sets the list aside', async () => {
    home = await temporaryHome();
    await writeFile(path.join(home, 'panels.json'), '[{"id":1}]');
    const announced: string[] = [];
    const tokens = await Tokens.open(home, (text) => announced.push(text));
    expect(tokens.list()).toEqual([]);
    expect(announced.join()).toContain('panels.json.damaged');
    const token = await tokens.issue('Figma');
    expect([tokens.accepts(token), tokens.accepts(tokens.program), tokens.accepts('x')]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('starts even if a folder or a null line blocks some edits', async () => {
    home = await temporaryHome();
    const first = await RunningCompanion.start({ home });
    const id = await first.send(quick);
    await first.follow(id);
    await first.stop();
    const broken = path.join(home, 'edits', randomUUID());
    await mkdir(broken);
    await writeFile(path.join(broken, 'state.json'), '{}');
    await rm(path.join(home, 'edits', id, 'events.jsonl'));
    await mkdir(path.join(home, 'edits', id, 'events.jsonl'));
    const second = await RunningCompanion.start({ home });
    expect(second.stderr()).toContain(path.basename(broken));
    expect((await second.follow(id)).at(-1)).toMatchObject({ type: 'done' });
    await second.remove();
  });
});

describe('startup and shutdown', () => {
  it('reports that the first port is in use', async () => {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(manifest.ports[0], '127.0.0.1', () => resolve(true));
    });
    const companion = await RunningCompanion.start({ env: { ACEPP_PORT: '' } });
    expect(companion.stderr()).toMatch(
      new RegExp(`port ${manifest.ports[0]}, so the companion listens on \\d+`),
    );
    await companion.remove();
    if (isFree) server.close();
  });

  it('shuts down quietly on SIGTERM, even with polls, uploads and a running edit', async () => {
    const companion = await RunningCompanion.start();
    const id = await companion.send(
      squareEdit({ side: 1024, request: { steps: 50, window: { maxSequence: 2048 } } }),
    );
    await companion.follow(id, ({ type }) => type === 'step');
    const poll = companion.ask(`/v1/edits/${id}?after=9999&wait=30`).catch(() => undefined);
    const socket = connect(Number(companion.url.port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write(
      `PUT /v1/edits/${randomUUID()} HTTP/1.1\r\nhost: ${companion.url.host}\r\nauthorization: Bearer ${companion.token}\r\ncontent-length: 999\r\n\r\nx`,
    );
    expect(await companion.stop()).toBe(0);
    await poll;
    expect(companion.stderr()).not.toMatch(/\n\s+at |Error:/);
    await companion.remove();
  });
});

describe('a ticket', () => {
  it('is valid once, and HEAD does not use it up', async () => {
    const tickets = new Tickets();
    const ticket = tickets.issue();
    expect([tickets.redeem(ticket), tickets.redeem(ticket), tickets.redeem('other')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('the log', () => {
  it('rotates at its size limit, and contains no instruction, token or code', async () => {
    const companion = await RunningCompanion.start();
    const id = await companion.send(quick);
    await companion.follow(id);
    await companion.ask('/v1/edits?q=private');
    await companion.ask('/v1/pairings', { method: 'POST', headers: { authorization: '' } });
    await companion.stop();
    const file = path.join(companion.home, 'logs/companion.log');
    const text = await readFile(file, 'utf8');
    expect(text).toContain(id);
    expect(text).not.toMatch(/private|wish/);
    expect(text).not.toContain(companion.token);
    expect(text).not.toMatch(/type \d{6} there/);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await companion.remove();

    const home = await temporaryHome();
    const log = openLog({ home, level: 'error', fileBytes: 2000 });
    for (let i = 0; i < 200; i++) log.info(`line ${i} ${'x'.repeat(100)}`, {});
    await log.close();
    const sizes = await Promise.all(
      (await logFiles(home)).map(async (name) => (await stat(path.join(home, 'logs', name))).size),
    );
    expect(sizes.length).toBeGreaterThan(2);
    expect(Math.max(...sizes)).toBeLessThan(10_000);
    await rm(home, { recursive: true });
  });

  it('is not flooded by a repeated message', async () => {
    const home = await temporaryHome();
    const log = openLog({ home, level: 'error' });
    for (let i = 0; i < 1000; i++) log.warn(`The edit ${randomUUID()} failed.`);
    await log.close();
    const lines = (await readFile(path.join(home, 'logs/companion.log'), 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toContain('980 more');
    await rm(home, { recursive: true });
  });
});

async function logFiles(home: string): Promise<string[]> {
  const { readdir } = await import('node:fs/promises');
  return (await readdir(path.join(home, 'logs'))).filter((name) => name.includes('companion.log'));
}

describe('the port', () => {
  it('is that of ACEPP_PORT, and no other is mentioned', async () => {
    const port = String(await freePort());
    const companion = await RunningCompanion.start({ env: { ACEPP_PORT: port } });
    expect(companion.stderr()).not.toContain('listens on');
    await companion.remove();
  });
});
