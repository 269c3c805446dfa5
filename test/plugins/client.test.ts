import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient } from '../../plugins/panel/client/client.ts';
import { ScriptedCompanion, token } from './companion.ts';

describe('the client', () => {
  let companion: ScriptedCompanion;
  beforeEach(async () => {
    companion = new ScriptedCompanion();
    await companion.listen();
  });
  afterEach(() => companion.close());

  test('reads health without a token', async () => {
    expect((await createClient(companion.url, undefined).health()).name).toBe('ACE++ Layers');
  });

  test('distinguishes a missing from a wrong token, with the companion’s own message', async () => {
    await expect(createClient(companion.url, undefined).models()).rejects.toMatchObject({
      code: 'token-missing',
      remedy: 'Open the printed link.',
    });
    await expect(createClient(companion.url, 'wrong').models()).rejects.toMatchObject({
      code: 'token-wrong',
    });
    await createClient(companion.url, token).models();
  });

  test('reports an unreachable companion with its address', async () => {
    await companion.close();
    await expect(createClient(companion.url, token).health()).rejects.toMatchObject({
      code: 'companion-gone',
      detail: expect.stringContaining(companion.url) as string,
      remedy: expect.stringContaining('npm start') as string,
    });
  });

  test.each([
    ['/v1/models', {}, '"models": Invalid key: Expected "models" but received undefined'],
    ['/v1/models', { models: [{ id: 3 }] }, '"models.0.id": Invalid type: Expected string but received 3'],
    ['/v1/models', '<html>', 'Expected Object but received "<html>"'],
    ['/v1/models', null, 'received null'],
  ])('an answer of %s that is %j is rejected with the reason', async (path, body, what) => {
    companion.wrong.set(path, body);
    await expect(createClient(companion.url, token).models()).rejects.toMatchObject({
      code: 'message-invalid',
      detail: expect.stringContaining(what) as string,
    });
  });

  test('rejects a poll with an unknown event, naming its position', async () => {
    const state = 'running';
    companion.wrong.set('/v1/edits/x', {
      id: 'x',
      state,
      events: [{ seq: 1, time: '', type: 'party' }],
      next: 1,
    });
    await expect(createClient(companion.url, token).poll('x', 0, 0)).rejects.toMatchObject({
      code: 'message-invalid',
      detail: expect.stringMatching(/GET \/v1\/edits\/x is wrong: "events\.0\.type".*party/) as string,
    });
  });

  test('ignores a newer companion’s fields, and keeps the messages of its unknown codes', async () => {
    const [model] = companion.models;
    companion.wrong.set('/v1/models', { models: [{ ...model, price: 3 }], more: true });
    expect(await createClient(companion.url, token).models()).toEqual([model]);
    const problem = {
      type: 'x',
      title: 'x',
      status: 418,
      code: 'teapot',
      detail: 'It is one.',
      remedy: 'Pour.',
    };
    const failed = { seq: 1, time: '', type: 'failed', problem };
    companion.wrong.set('/v1/edits/x', { id: 'x', state: 'failed', events: [failed], next: 1 });
    const { events } = await createClient(companion.url, token).poll('x', 0, 0);
    expect(events).toMatchObject([{ problem: { code: 'internal', detail: 'It is one.', remedy: 'Pour.' } }]);
  });

  test('reads a problem document even if bytes were requested', async () => {
    await expect(createClient(companion.url, token).result('nobody', 0)).rejects.toMatchObject({
      code: 'not-found',
      detail: 'No edit nobody.',
    });
  });
});
