import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../server/disk/paths.ts';
import { type Companion, findChromium, glimpse, launchBrowser, startCompanion } from '../browser/browser.ts';
import { openPanel, type PanelOptions, type SimulatedPanel } from './panel.ts';

const chromium = findChromium();
const artifacts = path.join(projectRoot, 'test/artifacts/photoshop');
const widths = [230, 300, 400];
const schemes = ['light', 'dark'] as const;

/**
 * What is not of Spectrum's sizes, or has its size from the browser: UXP gives controls no height, and takes
 * none from `rows`. And pressed buttons that look like the others. Runs in the page.
 */
function unmeasured(): string[] {
  const rules: CSSStyleRule[] = [];
  const collect = (list: CSSRuleList): void => {
    for (const rule of list) {
      if (rule instanceof CSSMediaRule) collect(rule.cssRules);
      if (rule instanceof CSSStyleRule && !rule.selectorText.startsWith(':where')) rules.push(rule);
    }
  };
  for (const sheet of document.styleSheets) collect(sheet.cssRules);
  const found: string[] = [];
  for (const element of document.querySelectorAll<HTMLElement>('.panel, textarea, input, select, button')) {
    const words = element.outerHTML.slice(0, 80);
    const { height, top } = element.getBoundingClientRect();
    if (height === 0) continue;
    const heights = rules.filter((rule) => rule.style.height !== '' && element.matches(rule.selectorText));
    if (heights.length === 0) found.push(`no height in CSS: ${words}`);
    if (element.matches('button, input, select') && (height < 24 || height > 28)) {
      found.push(`${height} px high: ${words}`);
    }
    if (element.matches('button') && element.scrollWidth > element.clientWidth) found.push(`cut: ${words}`);
    if (element.matches('textarea') && height < 50) found.push(`${height} px high: ${words}`);
    // A drawn title pushes the panel down.
    if (element.matches('.panel') && (height !== innerHeight || top !== 0))
      found.push(`${height} px of ${innerHeight}, from ${top}: ${words}`);
  }
  // Only a class can mark a pressed button: UXP may not match attributes.
  for (const pressed of document.querySelectorAll('[aria-pressed="true"]')) {
    const other = pressed.parentElement?.querySelector('[aria-pressed="false"]');
    if (other && getComputedStyle(other).backgroundColor === getComputedStyle(pressed).backgroundColor)
      found.push(`looks as if it were not pressed: ${pressed.outerHTML.slice(0, 80)}`);
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const owner = walker.currentNode.parentElement;
    if (!owner || walker.currentNode.textContent?.trim() === '' || owner.closest('script, option')) continue;
    const size = getComputedStyle(owner).fontSize;
    if (size !== '11px' && size !== '12px') found.push(`${size}: ${owner.outerHTML.slice(0, 80)}`);
  }
  return found;
}

describe.skipIf(!chromium && !process.env.CI)(
  'the panel in simulated Photoshop, in every state, width and theme',
  () => {
    let browser: Browser;
    let companion: Companion;
    let panel: SimulatedPanel;
    beforeAll(async () => {
      if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
      await mkdir(artifacts, { recursive: true });
      [browser, companion] = await Promise.all([launchBrowser(chromium), startCompanion()]);
    });
    afterAll(async () => {
      await browser?.close();
      await companion?.stop();
    });

    async function open(options: Partial<PanelOptions> = {}): Promise<void> {
      panel = await openPanel(browser, {
        companion: () => companion.origin,
        token: companion.token,
        ...options,
      });
      await panel.photoshop((controls) => {
        controls.openDocument({
          name: 'photo.psd',
          width: 160,
          height: 128,
          layers: [
            { name: 'a scarf with a long name', bounds: { left: 5, top: 5, right: 60, bottom: 40 } },
            { isBackground: true },
          ],
        });
        controls.select({ bounds: { left: 40, top: 30, right: 120, bottom: 100 }, feather: 4 });
      });
    }

    /** A picture of each width and theme; and nothing may be cut off sideways in any of them. */
    async function shoot(state: string): Promise<void> {
      for (const width of widths) {
        await panel.page.setViewportSize({ width, height: 640 });
        for (const colorScheme of schemes) {
          await panel.page.emulateMedia({ colorScheme });
          await panel.page.screenshot({ path: path.join(artifacts, `${state}-${width}-${colorScheme}.png`) });
        }
        const wide = await panel.page.evaluate(() =>
          [...document.querySelectorAll('.panel, .panel *')]
            .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
            .map((element) => element.outerHTML.slice(0, 120)),
        );
        expect(wide, `${state} at ${width}`).toEqual([]);
        expect(await panel.page.evaluate(unmeasured), `${state} at ${width}`).toEqual([]);
      }
      await panel.page.setViewportSize({ width: 300, height: 660 });
    }

    test('no companion', async () => {
      await open({ companion: () => undefined });
      await panel.page.getByRole('alert').waitFor();
      await shoot('1-no-companion');
      await panel.close();
    });

    test('the host denies both names; a key store that fails; log and about', async () => {
      await open({ simulated: { deniedNames: ['localhost', '127.0.0.1'] } });
      await panel.page.getByRole('alert').waitFor();
      await shoot('13-denied');
      await panel.close();
      await open({
        token: undefined,
        laterTokens: [companion.token],
        simulated: { secureStorageFails: true },
      });
      const { page } = panel;
      await page.getByLabel('Code or token').fill(companion.token);
      await page.getByRole('button', { name: 'Pair', exact: true }).click();
      await page.getByText('stays paired only until it closes').waitFor();
      await page.getByText(/^Ready/).waitFor();
      await shoot('14-key-store');
      await panel.photoshop((controls) => controls.invokeMenu('Show Log'));
      await shoot('15-log');
      await panel.photoshop((controls) => controls.invokeMenu('About ACE++ Layers'));
      await shoot('16-about');
      await panel.close();
    });

    test('a large selection, a quick mask, a saved selection, the selected layer, nothing open', async () => {
      await open();
      const { page } = panel;
      await page.getByText(/^Ready/).waitFor();
      await page.getByText('Selection 80 × 70').waitFor();
      await page.getByText('feathered 4 px').waitFor();
      const whole = { left: 40, top: 30, right: 852, bottom: 670 };
      await panel.photoshop((controls, bounds) => {
        controls.openDocument({ name: 'large.psd', width: 1200, height: 800 });
        controls.select({ bounds, feather: 12 });
        controls.saveSelection('A saved selection with a long name', { bounds });
      }, whole);
      await page.getByText('Selection 812 × 640').waitFor();
      await page.getByText('feathered 12 px').waitFor();
      await shoot('17-selection');
      await page.getByRole('combobox', { name: 'Mask' }).selectOption('A saved selection with a long name');
      await page.getByText('saved selection', { exact: true }).waitFor();
      await shoot('18-saved-selection');
      await page.getByRole('combobox', { name: 'Mask' }).selectOption('Selection');
      await page.getByRole('button', { name: 'Selected layer' }).click();
      await panel.photoshop((controls) => controls.select());
      await page.getByText('Layer 1200 × 800').waitFor();
      await shoot('19-layer');
      await panel.photoshop((controls, bounds) => controls.quickMask({ bounds }), whole);
      await page.getByText('Quick mask, 1200 × 800').waitFor();
      await shoot('20-quick-mask');
      expect(panel.faults).toEqual([]);
      await panel.close();
    }, 120_000);

    test('not paired, asking for a code, a wrong code, a rejected token', async () => {
      await open({ token: undefined });
      const { page } = panel;
      await page.getByText('not paired yet').waitFor();
      await shoot('2-unpaired');
      await page.getByRole('button', { name: 'Show a code' }).click();
      await page.getByPlaceholder('123456').waitFor();
      await shoot('3-code');
      await page.getByLabel('Code or token').fill('000000');
      await page.getByRole('button', { name: 'Pair', exact: true }).click();
      await page.getByRole('alert').waitFor();
      await shoot('4-wrong-code');
      await page.getByLabel('Code or token').fill('not-the-token');
      await page.getByRole('button', { name: 'Pair', exact: true }).click();
      await page.getByText('refuses this panel').waitFor();
      await shoot('5-refused');
      await panel.close();
    });

    test('ready, filled in, running, done and kept for later, failed, cancelled, advanced', async () => {
      await open();
      const { page } = panel;
      await page.getByText(/^Ready/).waitFor();
      await shoot('6-ready');
      const file = await sharp({ create: { width: 40, height: 30, channels: 3, background: '#c02020' } })
        .png()
        .toBuffer();
      await panel.photoshop(
        (controls, data) => controls.offerFiles([{ name: 'red.png', data }]),
        file.toString('base64'),
      );
      await page.getByRole('button', { name: 'Add…' }).click();
      await page.getByRole('button', { name: 'Add layer' }).click();
      await page.getByText('{image2}', { exact: true }).waitFor();
      await page.getByLabel('Instruction').fill('put the scarf of {image2} on it, in the red of {image1}');
      await page.getByRole('button', { name: 'Advanced' }).click();
      await shoot('7-filled');
      await page.getByLabel('Steps').fill('200');
      await page.getByLabel('Steps').press('Tab');
      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByRole('button', { name: 'Run', exact: true }).click();
      await page.getByAltText('The layer so far').waitFor({ timeout: 240_000 });
      await shoot('8-running');
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByText('Cancelled').waitFor();
      await shoot('9-cancelled');

      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByLabel('Steps').fill('1');
      await page.getByRole('button', { name: 'Advanced' }).click();
      for (const name of ['Run', 'New seed', 'New seed']) {
        const before = await panel.photoshop((controls) => controls.layers().length);
        await page.getByRole('button', { name, exact: true }).click();
        await expect
          .poll(() => panel.photoshop((controls) => controls.layers().length), { timeout: 240_000 })
          .toBe(before + 1);
        await page.getByRole('button', { name: 'Run', exact: true }).waitFor();
      }
      await page.getByText('3 not kept yet').waitFor();
      await shoot('21-results');
      await page.getByRole('button', { name: 'Keep', exact: true }).click();
      await page.getByRole('button', { name: 'Keep', exact: true }).waitFor({ state: 'detached' });

      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByLabel('Steps').fill('30');
      await page.getByLabel('Steps').press('Tab');
      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByRole('button', { name: 'Run', exact: true }).click();
      await glimpse(page, /Step \d+ of 30/);
      await panel.photoshop((controls) => controls.close());
      await page.getByRole('button', { name: 'Keep as layer' }).waitFor({ timeout: 240_000 });
      await shoot('10-kept-for-later');
      await page.getByRole('button', { name: 'Discard' }).click();
      await page.getByRole('button', { name: 'Run', exact: true }).click();
      await page.getByText('No document is open').waitFor();
      await shoot('11-failed');
      await page.getByRole('alert').getByRole('button').click();
      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByRole('button', { name: 'Use the selected layer’s recipe' }).scrollIntoViewIfNeeded();
      await shoot('12-advanced');
      expect(panel.faults).toEqual([]);
      await panel.close();
    }, 180_000);
  },
);
