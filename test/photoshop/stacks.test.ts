import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asU16 } from '../../shared/safetensors.ts';
import { findChromium, launchBrowser } from '../browser/browser.ts';
import { IdentityCompanion } from './identity-companion.ts';
import { openPanel, type SimulatedPanel } from './panel.ts';

const chromium = findChromium();
/** `npm run simulate` takes 50. */
const documents = Number(process.env.STACKS ?? 12);

describe.skipIf(!chromium && !process.env.CI)(
  'simulated Photoshop, built panel, documents with many layers',
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

    /** Adds the selected layers as references, runs, undoes; everything that the test compares. */
    const goThrough = (seed: number, forgets: boolean) =>
      panel.photoshop(
        async (controls, [given, isForgetful]) => {
          controls.simulator.rollbackForgets = isForgetful;
          const { ids } = controls.openStack(given);
          const seen = ids.map(controls.seenOf);
          const together = controls.seenTogether();
          const named = (name: string) =>
            [...document.querySelectorAll<HTMLButtonElement>('button')].find(
              ({ textContent, ariaLabel }) => textContent === name || ariaLabel?.startsWith(name),
            );
          const until = async (is: () => boolean): Promise<string> => {
            const end = performance.now() + 20_000;
            for (;;) {
              const alert = document.querySelector('[role=alert]')?.textContent;
              if (alert) return alert;
              if (is()) return '';
              if (performance.now() > end) throw new Error(`${given}: too late`);
              await new Promise((resolve) => setTimeout(resolve, 5));
            }
          };
          const clear = async (): Promise<void> => {
            for (;;) {
              const button = named('Dismiss') ?? named('Remove ');
              if (!button) return;
              button.click();
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
          };
          await clear();
          named('Add layer')!.click();
          const refused = await until(() => document.querySelectorAll('.reference').length === ids.length);
          const asBefore = controls.isAsMarked();
          // One of them shows nothing, and the others have to go without it.
          if (refused) await clear();
          named('Run')!.click();
          await until(() => controls.undoSteps().length === 1);
          await until(() => named('Run') !== undefined);
          const [placed] = controls.activeIDs();
          const layer = controls.stateOf(placed!);
          const plain = controls.isPlain(placed!);
          const compared = controls.compare();
          const undone = [controls.undo(), controls.isAsMarked() || isForgetful];
          await clear();
          controls.close();
          return { seen, together, refused, asBefore, layer, plain, compared, undone };
        },
        [seed, forgets] as const,
      );

    test(`${documents} of them: references and results are the right pixels at the right place, to the bit`, async () => {
      let references = 0;
      for (let seed = 1; seed <= documents; seed++) {
        const where = `stack ${seed}`;
        const found = await goThrough(seed, seed % 2 === 0);
        const { tensors } = [...companion.edits.values()].at(-1)!;
        const deep = tensors.get('edit')!.dtype === 'U16';

        // A layer that its mask hides, or a group of nothing visible, is no reference; all others are sent as
        // they show.
        expect(found.asBefore, where).toBe(true);
        expect(found.refused !== '', where).toBe(found.seen.includes(null));
        if (!found.refused) {
          for (const [i, seen] of found.seen.entries()) {
            references++;
            const reference = tensors.get(`reference.${i}`)!;
            const { bounds } = seen!;
            expect(reference.shape, where).toEqual([
              bounds.bottom - bounds.top,
              bounds.right - bounds.left,
              4,
            ]);
            expect(sameWhereSeen([...reference.data], seen!.data), `${where}, reference ${i}`).toBe(true);
          }
        }

        // The capture equals what was visible.
        const edit = tensors.get('edit')!;
        const samples = deep ? [...asU16(edit.data)] : [...edit.data];
        const seen = deep
          ? found.together.data.map((value) => Math.round((value * 65535) / 32768))
          : found.together.data;
        expect(sameWhereSeen(samples, seen), where).toBe(true);

        // What is placed are the same pixels at the same place, shown by nothing but its own mask.
        const { layer, compared } = found;
        expect([layer.clipped, found.plain], where).toEqual([false, true]);
        expect(compared, where).toMatchObject({ changedOutside: 0, largestOfLayer: 0, selectionKept: true });
        expect(compared.largestOfMask, where).toBeLessThanOrEqual(0.51);
        expect(found.undone, where).toEqual(['ACE++: as it is', true]);
      }
      expect(references).toBeGreaterThan(documents / 4);
      // The only refusals were reads of empty areas.
      const refusals = await panel.photoshop((controls) => controls.refusals());
      expect(refusals.filter((words) => !/no pixels inside|has no mask/.test(words))).toEqual([]);
      expect(await panel.photoshop((controls) => controls.simulator.images.size)).toBe(0);
      expect(panel.faults).toEqual([]);
    }, 900_000);
  },
);

/**
 * Whether two pictures are the same to the bit where they are not transparent; the colour of nothing means
 * nothing.
 */
function sameWhereSeen(one: readonly number[], other: readonly number[]): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i += 4) {
    if (one[i + 3] !== other[i + 3]) return false;
    if (one[i + 3] === 0) continue;
    if (one[i] !== other[i] || one[i + 1] !== other[i + 1] || one[i + 2] !== other[i + 2]) return false;
  }
  return true;
}
