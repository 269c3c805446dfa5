import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import createClient from 'openapi-fetch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAPIDocument } from '../../../server/http/openapi.ts';
import { decodeContainer } from '../../../shared/safetensors.ts';
import { RunningCompanion, squareEdit } from '../../server/http/running-companion.ts';
import type { components, paths } from './companion-api.ts';
import { documentFile, typesFile, typesOfDocument } from './types.ts';

const written = async () => JSON.parse(await readFile(documentFile, 'utf8')) as unknown;

describe('docs/openapi.json', () => {
  it('says what the schemas say; "npm run openapi" writes it', async () => {
    expect(await written()).toEqual(openAPIDocument());
  });

  it('is what the types of the client below were made of', async () => {
    expect(await readFile(typesFile, 'utf8')).toBe(await typesOfDocument());
  });
});

describe('a client by openapi-typescript and openapi-fetch, at a running companion', () => {
  let companion: RunningCompanion;
  beforeAll(async () => {
    companion = await RunningCompanion.start();
  });
  afterAll(() => companion.remove());

  const clientWith = (token: string) =>
    createClient<paths>({ baseUrl: companion.url.origin, headers: { authorization: `Bearer ${token}` } });

  it('gets the document itself, without a token', async () => {
    const { data } = await createClient<paths>({ baseUrl: companion.url.origin }).GET('/v1/openapi.json');
    expect(data).toEqual(await written());
  });

  it('lists the models, sends an edit, follows it and fetches its layer', async () => {
    const client = clientWith(companion.token);
    const { data: listed } = await client.GET('/v1/models');
    expect(listed?.models.map(({ id }) => id)).toEqual(['pocket', 'tiny']);

    const id = randomUUID();
    const sent = await client.PUT('/v1/edits/{id}', {
      params: { path: { id } },
      body: new Blob([squareEdit({ side: 64, request: { steps: 2 } })]),
      bodySerializer: (body) => body,
      headers: { 'content-type': 'application/octet-stream' },
    });
    expect(sent.data).toEqual({ id, state: 'queued', position: 0 });

    const events: components['schemas']['EditEvent'][] = [];
    let state: components['schemas']['Poll']['state'] = 'queued';
    for (let after = 0; state === 'queued' || state === 'running'; ) {
      const { data, error } = await client.GET('/v1/edits/{id}', {
        params: { path: { id }, query: { after, wait: 20 } },
      });
      if (!data) throw new Error(error.detail);
      events.push(...data.events);
      ({ state, next: after } = data);
    }
    const last = events.at(-1);
    if (last?.type !== 'done') throw new Error(`it ended with ${last?.type}`);
    expect(last.results).toMatchObject([{ variant: 0, seed: 7, steps: 2, model: 'tiny', provider: 'cpu' }]);

    const { data: layer } = await client.GET('/v1/edits/{id}/result', {
      params: { path: { id } },
      parseAs: 'arrayBuffer',
    });
    if (!layer) throw new Error('no layer');
    const { metadata, tensors } = decodeContainer(new Uint8Array(layer));
    const { width, height } = last.results[0]!.bounds;
    expect(tensors.get('layer')?.shape).toEqual([height, width, 4]);
    expect(JSON.parse(metadata.result ?? '')).toEqual(last.results[0]);

    const { data: history } = await client.GET('/v1/edits');
    expect(history?.edits).toMatchObject([{ id, state: 'done', request: { instruction: 'a red circle' } }]);
  });

  it('reads a refusal as a problem', async () => {
    const { error, response } = await clientWith('wrong').GET('/v1/models');
    expect(response.status).toBe(401);
    expect(error).toMatchObject({ code: 'token-wrong', status: 401 });
  });
});
