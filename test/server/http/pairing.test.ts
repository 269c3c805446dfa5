import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pairings } from '../../../server/http/pairing.ts';
import { tokenKey } from '../../../shared/protocol/proof.ts';
import { RunningCompanion } from './running-companion.ts';

describe('pairing', () => {
  const photoshop = { name: 'Photoshop', key: 'a' };
  const page = { name: 'A web page', key: 'b' };
  function open() {
    const shown: string[] = [];
    const names: string[] = [];
    const clock = { now: 0 };
    const pairings = new Pairings({
      issue: async (name) => `the token of ${name}`,
      show: (name, code) => {
        names.push(name);
        shown.push(code);
      },
      now: () => clock.now,
    });
    const finish = (id: string, digits: string, asker = photoshop) =>
      pairings.finish(id, digits, asker).catch((error) => error.code as string);
    const start = (asker = photoshop) => {
      try {
        return pairings.start(asker);
      } catch (error) {
        return { id: (error as { code: string }).code, seconds: 0 };
      }
    };
    return { pairings, start, finish, shown, names, clock };
  }
  const other = (digits: string) => String((Number(digits) + 1) % 1_000_000).padStart(6, '0');

  it('exchanges the six digits shown for a token, once, and says who is asking', async () => {
    const { pairings, start, finish, shown, names } = open();
    const { id } = start();
    expect(shown[0]).toMatch(/^\d{6}$/);
    expect(names).toEqual(['Photoshop']);
    expect(pairings.list()).toMatchObject([{ asker: 'Photoshop', code: shown[0], seconds: 120 }]);
    expect(await finish(id, shown[0]!)).toBe('the token of Photoshop');
    expect(await finish(id, shown[0]!)).toBe('pairing-over');
    expect(pairings.list()).toEqual([]);
  });

  it('accepts a code only for its own pairing', async () => {
    const { start, finish, shown } = open();
    const first = start();
    let second = start();
    if (shown[0] === shown[1]) second = start();
    expect(await finish(second.id, shown[0]!)).toBe('pairing-wrong');
    expect(await finish(first.id, shown[0]!)).toBe('the token of Photoshop');
    expect(await finish('no-id', shown[0]!)).toBe('pairing-over');
  });

  it('drops a code after three wrong tries, so the right one comes too late', async () => {
    const { start, finish, shown } = open();
    const { id } = start();
    for (let i = 0; i < 3; i++) expect(await finish(id, other(shown[0]!))).toBe('pairing-wrong');
    expect(await finish(id, shown[0]!)).toBe('pairing-over');
  });

  it('drops a code after two minutes', async () => {
    const { start, finish, shown, clock } = open();
    const { id } = start();
    clock.now = 119_000;
    expect(await finish(id, other(shown[0]!))).toBe('pairing-wrong');
    clock.now = 121_000;
    expect(await finish(id, shown[0]!)).toBe('pairing-over');
  });

  it('shows one client no more than four codes a minute, without affecting others', async () => {
    const { start, finish, shown, clock } = open();
    for (let i = 0; i < 50; i++) start(page);
    expect(shown).toHaveLength(4);
    expect(start(page).id).toBe('pairing-limit');
    const { id } = start();
    expect(await finish(id, shown.at(-1)!)).toBe('the token of Photoshop');
    clock.now = 60_001;
    expect(start(page).seconds).toBe(120);
  });

  it('is locked for a minute by wrong codes, only for their sender', async () => {
    const { start, finish, shown, clock } = open();
    const { id: mine } = start();
    const code = shown[0]!;
    const { id } = start(page);
    for (let i = 0; i < 3; i++) expect(await finish(id, other(shown[1]!), page)).toBe('pairing-wrong');
    const { id: next } = start(page);
    expect(next).toBe('pairing-limit');
    expect(await finish(mine, code)).toBe('the token of Photoshop');
    clock.now = 60_001;
    expect(start(page).seconds).toBe(120);
  });

  it('allows no more than three guesses a minute', async () => {
    const { start, finish, shown, clock } = open();
    let tries = 0;
    for (; clock.now < 3_600_000; clock.now += 1000) {
      const { id } = start(page);
      for (let i = 0; i < 5; i++) {
        if ((await finish(id, other(shown.at(-1)!), page)) === 'pairing-wrong') tries++;
      }
    }
    expect(tries).toBeLessThanOrEqual(3 * 60);
  });
});

describe('pairing with a running companion', () => {
  let companion: RunningCompanion;
  beforeAll(async () => {
    companion = await RunningCompanion.start();
  });
  afterAll(() => companion.remove());
  const noToken = { authorization: '', origin: 'null' };

  it('exchanges the digits in the terminal for the token, without a prior token', async () => {
    const asked = await companion.ask('/v1/pairings', { method: 'POST', headers: noToken });
    expect(asked.status).toBe(201);
    expect(asked.headers['access-control-allow-origin']).toBe('null');
    const { id } = asked.json<{ id: string }>();
    await expect.poll(() => companion.stderr()).toMatch(/type \d{6} there/);
    const digits = companion.stderr().match(/type (\d{6}) there/)![1]!;
    expect(asked.body.toString()).not.toContain(digits);
    const body = Buffer.from(JSON.stringify({ code: digits }));
    const paired = await companion.ask(`/v1/pairings/${id}`, { method: 'PUT', headers: noToken, body });
    const { token } = paired.json<{ token: string }>();
    expect(token).not.toBe(companion.token);
    const models = await companion.ask('/v1/models', { headers: { authorization: `Bearer ${token}` } });
    expect(models.status).toBe(200);
    // The companion only stores its key, readable by this user alone.
    const file = path.join(companion.home, 'panels.json');
    const kept = await readFile(file, 'utf8');
    expect(kept).not.toContain(token);
    expect(JSON.parse(kept)).toMatchObject([{ key: tokenKey(token) }]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('lets a panel in a sandboxed frame send a POST', async () => {
    const headers = { ...noToken, 'access-control-request-method': 'POST' };
    const answer = await companion.ask('/v1/pairings', { method: 'OPTIONS', headers });
    expect(answer.headers['access-control-allow-methods']).toContain('POST');
  });

  it.each([
    '',
    'x',
    '{}',
    '{"code":123456}',
    '{"code":"12345"}',
    `{"code":"123456"${' '.repeat(1000)}}`,
  ])('rejects the body %j', async (text) => {
    const body = Buffer.from(text);
    const answer = await companion.ask('/v1/pairings/x', { method: 'PUT', headers: noToken, body });
    expect([answer.status, answer.json().code]).toEqual([400, 'request-invalid']);
  });

  it('reveals nothing to a page of another site', async () => {
    const headers = { authorization: '', origin: 'https://evil.example' };
    const answer = await companion.ask('/v1/pairings', { method: 'POST', headers });
    expect([answer.status, answer.json().code]).toEqual([403, 'origin-refused']);
  });
});
