import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Companion, findChromium, glimpse, launchBrowser, startCompanion } from '../browser/browser.ts';
import { RunningCompanion } from '../server/http/running-companion.ts';
import { openPanel, type SimulatedPanel } from './panel.ts';

const chromium = findChromium();
const patient = { timeout: 240_000 };

describe.skipIf(!chromium && !process.env.CI)('a job in simulated Photoshop outlives', () => {
  let browser: Browser;
  let companion: Companion;
  let panel: SimulatedPanel;
  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    browser = await launchBrowser(chromium);
  });
  beforeEach(async () => {
    companion = await startCompanion();
    panel = await openPanel(browser, { companion: () => companion.origin, token: companion.token });
    await openDocument();
  });
  afterEach(async () => {
    await panel.close();
    await companion.stop();
  });
  afterAll(async () => {
    await browser?.close();
  });

  /** The same document each time, as from a file. */
  const openDocument = () =>
    panel.photoshop((controls) => {
      controls.openDocument({ name: 'photo.psd', width: 160, height: 128 });
      controls.select({ bounds: { left: 40, top: 30, right: 120, bottom: 100 }, feather: 4 });
      controls.mark();
    });
  const names = () => panel.photoshop((controls) => controls.layers().map(({ name }) => name));
  const keep = () => panel.page.getByRole('button', { name: 'Keep as layer' });

  /** Starts an edit and waits until it has done some steps. */
  async function start(steps: number): Promise<void> {
    const { page } = panel;
    await page.getByText(/^Ready/).waitFor();
    await page.getByLabel('Instruction').fill('a red circle');
    await page.getByRole('button', { name: 'Advanced' }).click();
    await page.getByLabel('Steps').fill(String(steps));
    await page.getByLabel('Steps').press('Tab');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await glimpse(page, new RegExp(`Step \\d+ of ${steps}`));
  }

  test('the document: reopened, it gets its layer', async () => {
    await start(50);
    await panel.photoshop((controls) => controls.close());
    await panel.page.getByText('“photo.psd” was closed').waitFor({ timeout: 240_000 });
    await openDocument();
    await keep().click();
    await expect.poll(names, patient).toEqual(['a red circle', 'Layer']);
    expect(await panel.photoshop((controls) => controls.compare())).toMatchObject({ changedOutside: 0 });
    expect(panel.faults).toEqual([]);
  }, 120_000);

  test('a companion that is killed and restarted: the edit reruns automatically', async () => {
    await start(60);
    await companion.kill();
    await glimpse(panel.page, /Reconnecting to the companion/);
    await companion.restart();
    await glimpse(panel.page, /was restarted/);
    await expect.poll(names, patient).toEqual(['a red circle', 'Layer']);
    expect(panel.faults).toEqual([]);
  }, 180_000);

  test('a companion that stays away: this is reported, and the edit continues once it is back', async () => {
    await start(60);
    await companion.kill();
    const alert = panel.page.getByRole('alert').first();
    await alert.waitFor({ timeout: 240_000 });
    await panel.page.getByRole('button', { name: 'Run', exact: true }).waitFor({ timeout: 240_000 });
    expect(await alert.innerText()).toMatch(/No companion answers.*npm start/s);
    await companion.restart();
    await keep().click({ timeout: 90_000 });
    await expect.poll(names, patient).toEqual(['a red circle', 'Layer']);
    expect(panel.faults).toEqual([]);
  }, 240_000);

  test('the panel: reloaded, it offers the result', async () => {
    await start(50);
    await panel.page.reload();
    await openDocument();
    await keep().click({ timeout: 240_000 });
    await expect.poll(names, patient).toEqual(['a red circle', 'Layer']);
    expect(await panel.photoshop((controls) => controls.compare())).toMatchObject({
      changedOutside: 0,
      selectionKept: true,
    });
    // It is only offered once.
    await panel.page.reload();
    await panel.page.getByText(/^Ready/).waitFor();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await keep().count()).toBe(0);
    expect(panel.faults).toEqual([]);
  }, 180_000);

  test('but not a person who cancels: nothing is placed, and nothing is offered later', async () => {
    await start(150);
    await panel.page.getByRole('button', { name: 'Cancel' }).click();
    await panel.page.getByText('Cancelled. Nothing changed.').waitFor();
    expect(await panel.photoshop((controls) => controls.isAsMarked())).toBe(true);
    await panel.page.reload();
    await panel.page.getByText(/^Ready/).waitFor();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await keep().count()).toBe(0);
  }, 120_000);
});

describe.skipIf(!chromium && !process.env.CI)('a new panel in simulated Photoshop', () => {
  test('pairs with the six digits from the companion’s window, and stays paired', async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    const [browser, companion] = await Promise.all([launchBrowser(chromium), RunningCompanion.start()]);
    try {
      const panel = await openPanel(browser, { companion: () => companion.url.origin });
      const { page } = panel;
      await page.getByText('Companion found, not paired yet').waitFor();
      await page.getByRole('button', { name: 'Show a code' }).click();
      await expect.poll(() => companion.stderr(), patient).toMatch(/type \d{6} there/);
      const digits = companion.stderr().match(/type (\d{6}) there/)![1]!;
      await page.getByLabel('Code or token').fill(digits);
      await page.getByLabel('Code or token').press('Enter');
      await page.getByText(/^Ready/).waitFor();
      await page.reload();
      await page.getByText(/^Ready/).waitFor();
      expect(panel.faults).toEqual([]);
    } finally {
      await browser.close();
      await companion.remove();
    }
  }, 240_000);
});
