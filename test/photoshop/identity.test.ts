import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, launchBrowser } from '../browser/browser.ts';
import { IdentityCompanion } from './identity-companion.ts';
import { openPanel, type SimulatedPanel } from './panel.ts';

const chromium = findChromium();
/** `npm run simulate` takes 200. Every mode at every depth is among the first 42. */
const documents = Number(process.env.DOCUMENTS ?? 48);

/**
 * How far a document's own channels may be from the conversion to sRGB and back alone, in 1/255. Not at all
 * with 8 and 16 bits; 32 are captured with 16, of which Photoshop uses 32768 steps and the protocol 65535.
 */
const rounding = (depth: number): number => (depth === 32 ? 0.01 : 0);

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

    /** Opens a random document, runs, and returns what changed. */
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
        largest[kind] = Math.max(largest[kind] ?? 0, recipe.active === 0 ? compared.largest : 0);
        expect(compared, where).toMatchObject({ changedOutside: 0, selectionKept: true });
        expect(compared.largestOfLayer, where).toBeLessThanOrEqual(rounding(recipe.depth!));
        // A document in sRGB needs no conversion: what is seen is the same to the bit. Under layers that lie
        // above the active one, and let something through, it is not: they were captured, and lie over the
        // result once more.
        const isSeen = recipe.active === 0 || recipe.layers!.length === 1;
        if (isSeen && !isWide && recipe.mode === 'RGB' && recipe.depth !== 32) {
          expect(compared.largest, where).toBe(0);
        }
        // The mask is sent with 8 bits.
        expect(compared.largestOfMask, where).toBeLessThanOrEqual(0.51);
        expect(undone, where).toEqual(['ACE++: as it is', true]);
      }
      // Every mode at every depth was among them.
      expect(Object.keys(largest)).toHaveLength(14);
      if (process.env.DEBUG) console.log('largest visible change, in 1/255 of sRGB:', largest);
      // After all these edits, every Photoshop resource has been disposed of.
      expect(await panel.photoshop((controls) => controls.simulator.images.size)).toBe(0);
      expect(await panel.photoshop((controls) => controls.simulator.mostImages)).toBe(1);
      // The only refusals were reads of empty areas.
      const refusals = await panel.photoshop((controls) => controls.refusals());
      expect(refusals.filter((words) => !words.includes('no pixels inside'))).toEqual([]);
      expect(panel.faults).toEqual([]);
    }, 900_000);
  },
);
