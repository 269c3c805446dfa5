import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import source from '../../manifest.json' with { type: 'json' };
import { type Companion, findChromium, launchBrowser, startCompanion } from '../browser/browser.ts';
import { openPanel, type PanelOptions, type SimulatedPanel } from './panel.ts';

const chromium = findChromium();
const [port] = source.ports;

describe.skipIf(!chromium && !process.env.CI)('the panel in simulated Photoshop finds the companion', () => {
  let browser: Browser;
  let companion: Companion;
  let panel: SimulatedPanel | undefined;
  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    [browser, companion] = await Promise.all([launchBrowser(chromium), startCompanion()]);
  });
  afterEach(() => panel?.close());
  afterAll(async () => {
    await browser?.close();
    await companion?.stop();
  });

  async function open(
    simulated: PanelOptions['simulated'],
    options: Partial<PanelOptions> = {},
  ): Promise<SimulatedPanel> {
    panel = await openPanel(browser, {
      companion: () => companion.origin,
      token: companion.token,
      simulated: simulated ?? {},
      ...options,
    });
    return panel;
  }
  const ready = () => panel!.page.getByText(/^Ready/).waitFor();
  const alert = () => panel!.page.getByRole('alert').first();
  const asked = () =>
    panel!.photoshop((controls) => [
      ...new Set(controls.network.requests.map(({ url }) => new URL(url).origin)),
    ]);

  test('as localhost, with UXP’s origin, and contacts nothing else', async () => {
    await open({});
    await ready();
    expect(await asked()).toEqual([`http://localhost:${port}`]);
    expect(panel!.faults).toEqual([]);
  });

  test('as 127.0.0.1 if localhost fails, as on some Macs', async () => {
    await open({ failingNames: ['localhost'] });
    await ready();
    expect(await asked()).toContain(`http://127.0.0.1:${port}`);
  });

  test('as localhost if 127.0.0.1 fails', async () => {
    await open({ failingNames: ['127.0.0.1'] });
    await ready();
  });

  test('as 127.0.0.1 if the host denies localhost', async () => {
    await open({ deniedNames: ['localhost'] });
    await ready();
  });

  test('and not with a manifest that lists IP literals, which the host denies; listing localhost works', async () => {
    const literals = source.ports.map((one) => `http://127.0.0.1:${one}`);
    await open({ domains: literals });
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(
      new RegExp(
        `Permission denied to the url http://localhost:${port}/v1/health\\S*\\. Manifest entry not found\\.`,
      ),
    );
    await panel!.close();
    await open({ domains: [...literals, `http://localhost:${port}`] });
    await ready();
    await panel!.close();
    await open({ domains: ['all'] });
    await alert().waitFor();
    expect(await alert().innerText()).toContain('Manifest entry not found');
  });

  test('or, if both names are denied, quotes the host and what to do, not that nothing answers', async () => {
    await open({ deniedNames: ['localhost', '127.0.0.1'] });
    await alert().waitFor();
    const words = await alert().innerText();
    expect(words).toMatch(
      /“Permission denied to the url http:\/\/localhost:\d+\/v1\/health\S*\. Manifest entry not found\.”/,
    );
    expect(words).toMatch(/install the panel again/);
    expect(words).not.toMatch(/No companion answers/);
    await panel!.page.getByText('Access to this computer is blocked').waitFor();
    expect(panel!.faults).toEqual([]);
  });

  test('or, if one name is denied and the other silent, reports both', async () => {
    await open({ deniedNames: ['127.0.0.1'] }, { companion: () => undefined });
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(
      /No companion answers.*Permission denied to the url http:\/\/127/s,
    );
  });

  test('after trying both names on every port of the manifest, and no other address', async () => {
    await open({}, { companion: () => undefined });
    await alert().waitFor();
    expect(await asked()).toEqual(
      source.ports.flatMap((one) => [`http://localhost:${one}`, `http://127.0.0.1:${one}`]),
    );
    expect(await alert().innerText()).toMatch(/localhost and 127\.0\.0\.1.*npm start/s);
  });

  test('and, if the key store fails, stays paired until it closes, with one note', async () => {
    await open({ secureStorageFails: true }, { token: undefined, laterTokens: [companion.token] });
    const { page } = panel!;
    await page.getByText('not paired yet').waitFor();
    await page.getByLabel('Code or token').fill(companion.token);
    await page.getByRole('button', { name: 'Pair', exact: true }).click();
    await ready();
    const notice = page.getByText('stays paired only until it closes');
    await notice.waitFor();
    expect(await notice.innerText()).toContain('The keychain is locked');
    await page.getByRole('button', { name: 'Dismiss' }).click();
    // Once found again, it is still paired, and the note isn't repeated.
    const requests = () => panel!.photoshop((controls) => controls.network.requests.length);
    const before = await requests();
    await expect.poll(requests, { timeout: 20_000 }).toBeGreaterThan(before);
    await ready();
    expect(await notice.count()).toBe(0);
    expect(panel!.faults).toEqual([]);
  }, 240_000);

  test('and its flyout menu reloads it and shows its log and the addresses it calls', async () => {
    await open({});
    await ready();
    const { page } = panel!;
    expect(await panel!.photoshop((controls) => controls.menuItems())).toEqual([
      'Reload',
      'Show Log',
      'About ACE++ Layers',
    ]);
    await panel!.photoshop((controls) => controls.invokeMenu('About ACE++ Layers'));
    await page.getByText(`http://localhost:${port}`).waitFor();
    await page.getByRole('button', { name: 'Back' }).click();
    await panel!.photoshop((controls) => controls.invokeMenu('Show Log'));
    expect(await page.getByLabel('Log').inputValue()).toMatch(/companion: connected/);
    await page.getByRole('button', { name: 'Back' }).click();
    await page.evaluate(() => Object.assign(window, { isOld: true }));
    await panel!.photoshop((controls) => controls.invokeMenu('Reload'));
    await expect.poll(() => page.evaluate(() => 'isOld' in window)).toBe(false);
    await ready();
  });
});
