import { createServer, type Server } from 'node:http';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { RunningCompanion } from '../server/http/running-companion.ts';
import { findChromium, launchBrowser } from './browser.ts';

const chromium = findChromium();

/**
 * What a page of another site tries, and from a sandboxed frame, whose origin is `null` as that of Figma's
 * plugins is.
 */
const attack = async (companion: string): Promise<string[]> => {
  const log: string[] = [];
  const ask = async (path: string, init?: RequestInit) => {
    try {
      const answer = await fetch(companion + path, init);
      log.push(`${init?.method ?? 'GET'} ${path} ${answer.status} ${await answer.text()}`);
    } catch {
      log.push(`${init?.method ?? 'GET'} ${path} nothing`);
    }
  };
  for (const path of ['/v1/health', '/v1/models', '/v1/edits', '/v1/queue', '/metrics', '/']) await ask(path);
  for (let i = 0; i < 12; i++) await ask('/v1/pairings', { method: 'POST' });
  const id = /"id":"([^"]+)"/.exec(log.join())?.[1] ?? 'x';
  for (let i = 0; i < 6; i++)
    await ask(`/v1/pairings/${id}`, { method: 'PUT', body: `{"code":"00000${i}"}` });
  await ask('/v1/edits/00000000-0000-4000-8000-000000000000', { method: 'DELETE' });
  await ask('/v1/queue', { method: 'DELETE' });
  return log;
};

describe.skipIf(!chromium && !process.env.CI)('a page of another site', () => {
  let browser: Browser;
  let companion: RunningCompanion;
  let server: Server;
  let foreign: string;

  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    server = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end(
        `<!doctype html><title>evil</title><iframe sandbox="allow-scripts" srcdoc="<p>frame</p>"></iframe>`,
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    foreign = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`;
    [browser, companion] = await Promise.all([launchBrowser(chromium), RunningCompanion.start()]);
  });
  afterAll(async () => {
    await browser?.close();
    await companion?.remove();
    server?.close();
  });

  test('learns nothing, locks nobody, and replaces no token', async () => {
    const context = await browser.newContext();
    const panel = await context.newPage();
    await panel.goto(companion.url.href);
    await panel
      .getByText(/^Ready/)
      .first()
      .waitFor({ timeout: 240_000 });
    const kept = () => panel.evaluate(() => localStorage.getItem('acepp.token'));
    await vi.waitFor(async () => expect(await kept()).toBe(companion.token), { timeout: 20_000 });

    const page = await context.newPage();
    await page.goto(foreign);
    const { origin } = companion.url;
    const fromPage = await page.evaluate(attack, origin);
    expect(fromPage.filter((line) => !line.endsWith(' nothing'))).toEqual([]);
    const frame = page.frames()[1]!;
    const fromFrame = await frame.evaluate(attack, origin);
    const statuses = fromFrame.map((line) => line.split(' ').slice(0, 3).join(' '));
    expect(fromFrame.join()).not.toContain(companion.token);
    for (const line of [
      'GET /v1/models 401',
      'GET /v1/edits 401',
      'GET /metrics 401',
      'DELETE /v1/queue 401',
    ]) {
      expect(statuses).toContain(line);
    }
    // It requested four codes and was then locked out for a minute, without affecting others.
    expect(statuses.filter((line) => line === 'POST /v1/pairings 201')).toHaveLength(4);
    expect(statuses.filter((line) => line === 'POST /v1/pairings 429')).toHaveLength(8);

    // Meanwhile Photoshop can still pair, and the person sees who is asking.
    const headers = { authorization: '', origin: 'file://' };
    const asked = await companion.ask('/v1/pairings', { method: 'POST', headers });
    expect(asked.status).toBe(201);
    await vi.waitFor(() => expect(companion.stderr()).toMatch(/Photoshop asks to be paired/));
    expect(companion.stderr()).toMatch(/web page asks to be paired/);
    const code = /Photoshop asks to be paired\. If that is you, type (\d{6})/.exec(companion.stderr())![1];
    const body = Buffer.from(JSON.stringify({ code }));
    const paired = await companion.ask(`/v1/pairings/${asked.json().id}`, { method: 'PUT', headers, body });
    expect(paired.status).toBe(200);

    // A link with its own token, opened in the same browser.
    const opened = context.waitForEvent('page');
    await page.evaluate((url) => {
      const target = window as unknown as { opened: Window | null };
      target.opened = window.open(url);
    }, `${origin}/#token=of-the-evil-page`);
    const other = await opened;
    await other
      .getByText(/^Ready/)
      .first()
      .waitFor({ timeout: 240_000 });
    expect(other.url()).not.toContain('evil');
    expect(await kept()).toBe(companion.token);
    // The opener has no reference to it.
    expect(await page.evaluate(() => (window as unknown as { opened: Window | null }).opened?.closed)).toBe(
      true,
    );
    await context.close();
  }, 180_000);
});
