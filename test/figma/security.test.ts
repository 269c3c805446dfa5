import { mkdir } from 'node:fs/promises';
import { createServer, request as forward } from 'node:http';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../server/disk/paths.ts';
import { type Companion, findChromium, launchBrowser, startCompanion } from '../browser/browser.ts';
import { type Built, built } from './driver.ts';
import { openPlugin, serveEmbedder } from './simulator/plugin.ts';
import { Scene } from './simulator/scene.ts';

const chromium = findChromium();
const artifacts = path.join(projectRoot, 'test/artifacts/figma');

/** Sends a request from inside a page; returns what a script there can see. */
async function ask(
  frame: Pick<Page, 'evaluate'>,
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string>;
    body?: string;
    mode?: 'cors' | 'no-cors';
    credentials?: 'include';
  },
): Promise<{ status: number; text: string } | 'nothing'> {
  return frame.evaluate(
    async ([address, given]) => {
      try {
        const answer = await fetch(address, given);
        const text = await answer.text();
        return answer.type === 'opaque' && text === '' ? 'nothing' : { status: answer.status, text };
      } catch {
        return 'nothing';
      }
    },
    [url, options] as const,
  );
}

/**
 * Writes down what a browser sends to the companion, on its way there. DevTools' own events are no witness:
 * Chromium gives a preflight the type "Preflight" in some versions and "Other" in others.
 */
async function listenBetween(origin: string) {
  const heard: string[] = [];
  const server = createServer((incoming, answer) => {
    const { method, url, headers } = incoming;
    const onward = forward(origin + url, { method, headers: { ...headers, host: new URL(origin).host } });
    onward.on('response', (response) => {
      const asked = [headers['access-control-request-method'], headers['access-control-request-headers']];
      const wish = method === 'OPTIONS' ? ` for ${asked.join(', ')}` : '';
      heard.push(`${method} ${url} from ${headers.origin}${wish}: ${response.statusCode}`);
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://localhost:${typeof address === 'object' && address ? address.port : 0}`,
    heard,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe.skipIf(!chromium && !process.env.CI)('access to the companion from a browser', () => {
  let browser: Browser;
  let companion: Companion;
  let local: string;
  let plugin: Built;
  let other: { url: string; close: () => void };
  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    await mkdir(artifacts, { recursive: true });
    [browser, companion] = await Promise.all([launchBrowser(chromium), startCompanion()]);
    local = `http://localhost:${new URL(companion.origin).port}`;
    plugin = await built([Number(new URL(companion.origin).port)]);
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/html' });
      response.end('<!doctype html><title>another page</title>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    other = {
      url: `http://127.0.0.1:${port}/`,
      close: () => {
        server.closeAllConnections();
        server.close();
      },
    };
  });
  afterAll(async () => {
    await browser?.close();
    await companion?.stop();
    other?.close();
    await plugin?.remove();
  });

  async function edits(): Promise<string> {
    const headers = { Authorization: `Bearer ${companion.token}` };
    return (await fetch(`${companion.origin}/v1/edits`, { headers })).text();
  }
  const id = '123e4567-e89b-42d3-a456-426614174000';
  const tokens = [
    ['no token', () => ''],
    ['a guessed token', () => 'guessed'],
    ['even the right token', () => companion.token],
  ] as const;

  test.each(
    tokens,
  )('a page of another origin with %s gets nothing, and nothing is queued', async (_, token) => {
    const page = await browser.newPage();
    await page.context().grantPermissions(['local-network-access']);
    await page.goto(other.url);
    const headers: Record<string, string> = token() ? { Authorization: `Bearer ${token()}` } : {};
    for (const base of [companion.origin, local]) {
      for (const [method, route] of [
        ['GET', '/v1/health'],
        ['GET', '/v1/edits'],
        ['GET', '/v1/models'],
        ['GET', '/'],
        ['PUT', `/v1/edits/${id}`],
        ['POST', '/v1/pairings'],
      ] as const) {
        const body = method === 'GET' ? {} : { body: 'x' };
        const asked = { method, headers, ...body };
        expect(await ask(page, base + route, asked), `${method} ${route}`).toBe('nothing');
        if (method !== 'PUT') {
          const { headers: _none, ...simple } = asked;
          expect(await ask(page, base + route, { ...simple, mode: 'no-cors' }), `${route}, no-cors`).toBe(
            'nothing',
          );
        }
      }
    }
    expect(await edits()).toBe('{"edits":[],"next":null}');
    await page.close();
  });

  /** A frame like those of Figma's panels: without an origin of its own. */
  async function nullFrame() {
    const page = await browser.newPage();
    await page.context().grantPermissions(['local-network-access']);
    await page.goto(other.url);
    await page.evaluate(() => {
      const frame = document.createElement('iframe');
      frame.setAttribute('sandbox', 'allow-scripts');
      frame.srcdoc = '<!doctype html>';
      document.body.append(frame);
    });
    await expect.poll(() => page.frames().length).toBe(2);
    const frame = page.frames()[1]!;
    await frame.waitForLoadState();
    expect(await frame.evaluate(() => self.origin)).toBe('null');
    return { page, frame };
  }

  test('origin null with the right token works, preflight included; without it, it learns only that it needs one', async () => {
    const { page, frame } = await nullFrame();
    const between = await listenBetween(companion.origin);
    const headers = { Authorization: `Bearer ${companion.token}` };
    expect(await ask(frame, `${between.url}/v1/edits`, { headers })).toEqual({
      status: 200,
      text: '{"edits":[],"next":null}',
    });
    const sent = await ask(frame, `${between.url}/v1/edits/${id}`, {
      method: 'PUT',
      headers: { ...headers, 'Content-Type': 'application/octet-stream' },
      body: 'no container',
    });
    expect(sent, 'it gets through to the reader of the request').toMatchObject({ status: 400 });
    expect(between.heard).toEqual([
      'OPTIONS /v1/edits from null for GET, authorization: 204',
      'GET /v1/edits from null: 200',
      `OPTIONS /v1/edits/${id} from null for PUT, authorization,content-type: 204`,
      `PUT /v1/edits/${id} from null: 400`,
    ]);
    for (const token of ['', 'guessed', companion.token.slice(0, -1)]) {
      const asked = await ask(frame, `${between.url}/v1/edits`, {
        headers: token ? { Authorization: `Bearer ${token}` } : {},
      });
      expect(asked).toMatchObject({ status: 401 });
      expect(JSON.stringify(asked)).not.toContain('"edits"');
    }
    between.close();
    await page.close();
  });

  test.each([
    ['sends cookies', { credentials: 'include' }],
    ['uses a method that the preflight does not allow', { method: 'PATCH' }],
    ['sends a header that the preflight does not allow', { headers: { 'If-Match': '"1"' } }],
  ] as const)('a naive panel of origin null that %s gets nothing, not even health', async (_, options) => {
    const { page, frame } = await nullFrame();
    expect(await ask(frame, `${local}/v1/health`, {})).toMatchObject({ status: 200 });
    expect(await ask(frame, `${local}/v1/health`, options)).toBe('nothing');
    await page.close();
  });

  test('the panel reaches the ports of its manifest and nothing else', async () => {
    const embedder = await serveEmbedder();
    const one = await openPlugin(browser, plugin.folder, { scene: new Scene(), embedder: embedder.url });
    const frame = one.page.frames()[1]!;
    expect(await ask(frame, `${local}/v1/health`, {})).toMatchObject({ status: 200 });
    expect(one.faults).toEqual([]);
    expect(await ask(frame, other.url, {})).toBe('nothing');
    const raw = companion.origin.replace('localhost', '127.0.0.1');
    expect(await ask(frame, `${raw}/v1/health`, {}), 'a raw address').toBe('nothing');
    expect(one.faults.join()).toMatch(/Content Security Policy/);
    await one.close();
    embedder.close();
  });

  test('the panel only listens to its parent frame', async () => {
    const embedder = await serveEmbedder();
    const one = await openPlugin(browser, plugin.folder, { scene: new Scene(), embedder: embedder.url });
    await one.ui.getByText('Select a layer to edit').first().waitFor();
    const nodes = [{ id: '1:1', name: 'Forged', width: 9, height: 9, obstacle: '', recipe: '' }];
    const value = { count: 1, nodes };
    const forged = { pluginMessage: { kind: 'event', name: 'selection', value } };
    await one.page.evaluate((message) => {
      const stranger = document.createElement('iframe');
      stranger.srcdoc = `<script>parent.frames[0].postMessage(${JSON.stringify(message)}, '*')</script>`;
      document.body.append(stranger);
      setTimeout(() => stranger.remove(), 400);
    }, forged);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await one.ui.getByText('Forged').count()).toBe(0);
    await one.page.evaluate((message) => frames[0]!.postMessage(message, '*'), forged);
    await one.ui.getByText('Forged').waitFor();
    await one.close();
    embedder.close();
  });

  test.each([
    'light',
    'dark',
  ] as const)('a browser that denies local access is told apart from a companion that is not running (%s)', async (scheme) => {
    const embedder = await serveEmbedder();
    // For this browser the page around the frame is one of the internet, as figma.com is.
    const strict = await launchBrowser(chromium!, [
      `--ip-address-space-overrides=127.0.0.1:${embedder.port}=public`,
    ]);
    const options = { scene: new Scene(), embedder: embedder.url, scheme, localAccess: false };
    const one = await openPlugin(strict, plugin.folder, options);
    const note = one.ui.getByRole('alert');
    await note.waitFor({ timeout: 20_000 });
    expect(await ask(one.page.frames()[1]!, `${local}/v1/health`, {}), 'the companion runs').toBe('nothing');
    expect(await note.getAttribute('data-code')).toBe('local-access-denied');
    expect(await note.innerText()).toMatch(/desktop app/);
    await one.ui.getByText('Access to this computer is blocked').waitFor();
    await one.page.screenshot({ path: path.join(artifacts, `2-access-denied-${scheme}.png`) });
    await one.close();
    await strict.close();
    embedder.close();
  });
});
