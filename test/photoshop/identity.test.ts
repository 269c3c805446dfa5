import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, launchBrowser } from '../browser/browser.ts';
import { IdentityCompanion } from './identity-companion.ts';
import { openPanel, type SimulatedPanel } from './panel.ts';

const chromium = findChromium();
const documents = 200;

/**
 * How far a colour may move on its way to sRGB and back, in 1/255 of sRGB: nothing where the document is in sRGB with
 * 8 or 16 bits; else the roundings of the document's own depth, which are wide where its steps are (measured: see the
 * numbers that the test prints with DEBUG set).
 */
const roundings: Readonly<Record<string, number>> = {
  'RGB 8': 0,
  'RGB 16': 0,
  'RGB 32': 0.02,
  'wide RGB 8': 2,
  'wide RGB 16': 0.02,
  'wide RGB 32': 0.02,
  'GRAYSCALE 8': 2,
  'GRAYSCALE 16': 0.02,
  'GRAYSCALE 32': 0.02,
  'LAB 8': 4,
  'LAB 16': 0.02,
  'LAB 32': 0.02,
  'CMYK 8': 2,
  'CMYK 16': 0.02,
};

describe.skipIf(!chromium && !process.env.CI)(
  'simulated Photoshop, built panel, an edit that changes nothing',
  () => {
    let browser: Browser;
    let companion: IdentityCompanion;
    let panel: SimulatedPanel;
    beforeAll(async () => {
      if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
      companion = new IdentityCompanion();
      [browser] = await Promise.all([launchBrowser(chromium), companion.listen()]);
      panel = await openPanel(browser, { companion: () => companion.url, token: 'any' });
      await panel.page.getByText(/^Ready/).waitFor();
      await panel.page.getByLabel('Instruction').fill('as it is');
    });
    afterAll(async () => {
      await panel?.close();
      await browser?.close();
      await companion?.close();
    });

    /** Opens a document by chance, runs, and tells what that did. */
    const roundTrip = (seed: number) =>
      panel.photoshop(async (controls, given) => {
        const recipe = controls.openRandom(given);
        const button = () => document.querySelector<HTMLButtonElement>('.panel-foot .primary')!;
        const until = async (is: () => boolean): Promise<void> => {
          const end = performance.now() + 20_000;
          while (!is()) {
            const alert = document.querySelector('[role=alert]');
            if (alert || performance.now() > end)
              throw new Error(`${given}: ${alert?.textContent ?? 'too late'}`);
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        };
        button().click();
        await until(() => controls.undoSteps().length === 1);
        await until(() => button().textContent === 'Run');
        const compared = controls.compare();
        const undone = [controls.undo(), controls.isAsMarked()];
        controls.close();
        return { recipe, compared, undone };
      }, seed);

    test(`${documents} documents by chance come back equal, or within the rounding of their profile`, async () => {
      const largest: Record<string, number> = {};
      for (let seed = 1; seed <= documents; seed++) {
        const { recipe, compared, undone } = await roundTrip(seed);
        const isWide = recipe.mode === 'RGB' && !recipe.profile!.startsWith('sRGB');
        const kind = `${isWide ? 'wide ' : ''}${recipe.mode} ${recipe.depth}`;
        const where = `document ${seed}, ${kind}`;
        largest[kind] = Math.max(largest[kind] ?? 0, compared.largest, compared.largestOfLayer);
        expect(compared, where).toMatchObject({ changedOutside: 0, selectionKept: true });
        expect(compared.largest, where).toBeLessThanOrEqual(roundings[kind]!);
        expect(compared.largestOfLayer, where).toBeLessThanOrEqual(roundings[kind]!);
        // The mask travels with 8 bits.
        expect(compared.largestOfMask, where).toBeLessThanOrEqual(0.51);
        expect(undone, where).toEqual(['ACE++: as it is', true]);
      }
      expect(Object.keys(largest).sort()).toEqual(Object.keys(roundings).sort());
      if (process.env.DEBUG) console.log(largest);
      // More than a hundred edits, and nothing that Photoshop lent was kept.
      expect(await panel.photoshop((controls) => controls.simulator.images.size)).toBe(0);
      expect(await panel.photoshop((controls) => controls.simulator.mostImages)).toBe(1);
      expect(await panel.photoshop((controls) => controls.refusals())).toEqual([]);
      expect(panel.faults).toEqual([]);
    }, 300_000);
  },
);
