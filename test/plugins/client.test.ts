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

  test('a missing and a wrong token are told apart, with the companion’s own words', async () => {
    await expect(createClient(companion.url, undefined).models()).rejects.toMatchObject({
      code: 'token-missing',
      remedy: 'Open the printed link.',
    });
    await expect(createClient(companion.url, 'wrong').models()).rejects.toMatchObject({
      code: 'token-wrong',
    });
    await createClient(companion.url, token).models();
  });

  test('a companion that is not there is told in words, with its address', async () => {
    await companion.close();
    await expect(createClient(companion.url, token).health()).rejects.toMatchObject({
      code: 'companion-gone',
      detail: expect.stringContaining(companion.url) as string,
      remedy: expect.stringContaining('npm start') as string,
    });
  });

  test('a problem is understood where bytes were asked for', async () => {
    await expect(createClient(companion.url, token).result('nobody', 0)).rejects.toMatchObject({
      code: 'not-found',
      detail: 'No edit nobody.',
    });
  });
});
