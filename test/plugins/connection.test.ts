import { createServer } from 'node:http';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createConnection } from '../../plugins/panel/models/connection.ts';
import { createPairing } from '../../plugins/panel/models/pairing.ts';
import { RunningCompanion } from '../server/http/running-companion.ts';
import { ScriptedCompanion, token } from './companion.ts';

describe('the connection', () => {
  let companion: ScriptedCompanion;
  const releases: (() => unknown)[] = [];
  beforeEach(async () => {
    companion = new ScriptedCompanion();
    await companion.listen();
  });
  afterEach(async () => {
    for (const release of releases.splice(0)) await release();
    await companion.close();
  });

  function open(companions: readonly string[], kept: Record<string, string> = { token }) {
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
        timeout: 15_000,
        interval: 10,
      });
    return { connection, kept, reaches };
  }

  /** Another program on one of our ports. */
  async function otherProgram(answer: string | undefined): Promise<string> {
    const server = createServer((_request, response) => {
      if (answer !== undefined) response.end(answer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    releases.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  }

  test('finds the companion behind ports that are closed, foreign or silent', async () => {
    const others = [
      await otherProgram('<html>'),
      await otherProgram('{"name":"x"}'),
      await otherProgram(undefined),
    ];
    const { connection, reaches } = open(['http://127.0.0.1:1', ...others, companion.url]);
    await reaches('connected');
    expect(connection.client().url).toBe(companion.url);
  });

  test('lists the available models', async () => {
    const { connection, reaches } = open([companion.url]);
    await reaches('connected');
    expect(connection.state.value).toMatchObject({ models: [{ id: 'pocket', adapters: [] }] });
  });

  test('reports a missing companion with every port, and finds it once it starts', async () => {
    await companion.close();
    const { connection, reaches } = open(['http://127.0.0.1:1', companion.url]);
    await reaches('gone');
    const state = connection.state.value;
    expect(state.kind === 'gone' && state.error.detail).toContain(`1, ${new URL(companion.url).port}`);
    await companion.listen();
    await reaches('connected');
  });

  test('reports another protocol version with both versions, and which is older', async () => {
    companion.health = { ...companion.health, version: '9.0.0', protocol: 9 };
    const { connection, reaches } = open([companion.url]);
    await reaches('refused');
    const state = connection.state.value;
    if (state.kind !== 'refused') throw new Error('not refused');
    expect(state.error.code).toBe('version-mismatch');
    expect(state.error.message).toMatch(/9\.0\.0.*0\.1\.0.*older one is the panel/);
  });

  test('is unpaired without a token, and refused with a wrong one', async () => {
    await open([companion.url], {}).reaches('unpaired');
    const { connection, reaches } = open([companion.url], { token: 'wrong' });
    await reaches('refused');
    await connection.useToken(token);
    await reaches('connected');
  });

  test('uses the one of two companions that accepts the token', async () => {
    const second = new ScriptedCompanion();
    await second.listen();
    releases.push(() => second.close());
    second.health = { ...second.health, protocol: 9 };
    const { connection, reaches } = open([second.url, companion.url]);
    await reaches('connected');
    expect(connection.client().url).toBe(companion.url);
  });

  test('pairs by a real companion’s six digits, and stores the token for next time', async () => {
    const real = await RunningCompanion.start();
    releases.push(() => real.remove());
    const { connection, kept, reaches } = open([real.url.origin], {});
    await reaches('unpaired');
    const pairing = createPairing(connection);
    await pairing.answer('123456');
    expect(pairing.state.value).toMatchObject({ kind: 'idle', error: { code: 'pairing-over' } });
    await pairing.ask();
    expect(pairing.state.value.kind).toBe('code');
    await vi.waitFor(() => expect(real.stderr()).toMatch(/type \d{6} there/));
    const digits = real.stderr().match(/type (\d{6}) there/)![1]!;
    await pairing.answer(String((Number(digits) + 1) % 1_000_000).padStart(6, '0'));
    expect(pairing.state.value).toMatchObject({ kind: 'code', error: { code: 'pairing-wrong' } });
    await pairing.answer(`${digits.slice(0, 3)} ${digits.slice(3)}`);
    await reaches('connected');
    expect(kept.token).toMatch(/^[\w-]{43}$/);
    expect(kept.token).not.toBe(real.token);
    expect(pairing.state.value).toEqual({ kind: 'idle' });
  });

  test('extracts the token from the link that the companion printed', async () => {
    const { connection, reaches } = open([companion.url], {});
    await reaches('unpaired');
    await createPairing(connection).answer(`${companion.url}/#token=${token}`);
    await reaches('connected');
  });
});
