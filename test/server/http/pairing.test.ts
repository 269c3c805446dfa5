import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pairings } from '../../../server/http/pairing.ts';
import { RunningCompanion } from './running-companion.ts';

describe('pairing', () => {
  const token = 'the-token';
  function open() {
    const shown: string[] = [];
    const clock = { now: 0 };
    const pairings = new Pairings({ token, show: (code) => shown.push(code), now: () => clock.now });
    return { pairings, shown, clock };
  }
  const code = (thrown: () => unknown): string => {
    try {
      thrown();
    } catch (error) {
      return (error as { code: string }).code;
    }
    return 'nothing thrown';
  };
  const other = (digits: string) => String((Number(digits) + 1) % 1_000_000).padStart(6, '0');

  it('gives the token for the six digits that are shown, once', () => {
    const { pairings, shown } = open();
    const { id } = pairings.start();
    expect(shown[0]).toMatch(/^\d{6}$/);
    expect(pairings.finish(id, shown[0]!)).toBe(token);
    expect(code(() => pairings.finish(id, shown[0]!))).toBe('pairing-over');
  });

  it('takes a code for its own pairing and no other', () => {
    const { pairings, shown } = open();
    const first = pairings.start();
    let second = pairings.start();
    if (shown[0] === shown[1]) second = pairings.start();
    expect(code(() => pairings.finish(second.id, shown[0]!))).toBe('pairing-wrong');
    expect(pairings.finish(first.id, shown[0]!)).toBe(token);
    expect(code(() => pairings.finish('no-id', shown[0]!))).toBe('pairing-over');
  });

  it('forgets a code after three wrong ones, so that the right one comes too late', () => {
    const { pairings, shown } = open();
    const { id } = pairings.start();
    for (let i = 0; i < 3; i++) {
      expect(code(() => pairings.finish(id, other(shown[0]!)))).toBe('pairing-wrong');
    }
    expect(code(() => pairings.finish(id, shown[0]!))).toBe('pairing-over');
  });

  it('forgets a code after two minutes', () => {
    const { pairings, shown, clock } = open();
    const { id } = pairings.start();
    clock.now = 119_000;
    expect(code(() => pairings.finish(id, other(shown[0]!)))).toBe('pairing-wrong');
    clock.now = 121_000;
    expect(code(() => pairings.finish(id, shown[0]!))).toBe('pairing-over');
  });

  it('shows no more than eight codes in ten minutes', () => {
    const { pairings, shown, clock } = open();
    for (let i = 0; i < 8; i++) pairings.start();
    expect(code(() => pairings.start())).toBe('pairing-limit');
    expect(shown).toHaveLength(8);
    clock.now = 601_000;
    pairings.start();
    expect(shown).toHaveLength(9);
  });

  it('ends for good after twenty wrong codes', () => {
    const { pairings, shown, clock } = open();
    for (let i = 0; i < 20; i++) {
      clock.now += 120_000;
      const { id } = pairings.start();
      expect(code(() => pairings.finish(id, other(shown.at(-1)!)))).toBe('pairing-wrong');
    }
    clock.now += 3_600_000;
    expect(code(() => pairings.start())).toBe('pairing-limit');
    expect(code(() => pairings.finish('any', '000000'))).toBe('pairing-limit');
  });
});

describe('pairing with a running companion', () => {
  let companion: RunningCompanion;
  beforeAll(async () => {
    companion = await RunningCompanion.start();
  });
  afterAll(() => companion.remove());
  const noToken = { authorization: '', origin: 'null' };

  it('turns the digits in the terminal into the token, without any token before', async () => {
    const asked = await companion.ask('/v1/pairings', { method: 'POST', headers: noToken });
    expect(asked.status).toBe(201);
    expect(asked.headers['access-control-allow-origin']).toBe('null');
    const { id } = asked.json<{ id: string }>();
    await expect.poll(() => companion.stderr()).toMatch(/type \d{6} there/);
    const digits = companion.stderr().match(/type (\d{6}) there/)![1]!;
    expect(asked.body.toString()).not.toContain(digits);
    const body = Buffer.from(JSON.stringify({ code: digits }));
    const paired = await companion.ask(`/v1/pairings/${id}`, { method: 'PUT', headers: noToken, body });
    expect(paired.json()).toEqual({ token: companion.token });
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
  ])('refuses the body %j as no code', async (text) => {
    const body = Buffer.from(text);
    const answer = await companion.ask('/v1/pairings/x', { method: 'PUT', headers: noToken, body });
    expect([answer.status, answer.json().code]).toEqual([400, 'request-invalid']);
  });

  it('shows nothing to a page of another site', async () => {
    const headers = { authorization: '', origin: 'https://evil.example' };
    const answer = await companion.ask('/v1/pairings', { method: 'POST', headers });
    expect([answer.status, answer.json().code]).toEqual([403, 'origin-refused']);
  });
});
