import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findChromium, launchBrowser } from '../browser/browser.ts';
import { IdentityCompanion } from './identity-companion.ts';
import { openPanel, type SimulatedPanel } from './panel.ts';

const chromium = findChromium();
const patient = { timeout: 30_000 };

describe.skipIf(!chromium && !process.env.CI)('an unkept result in simulated Photoshop', () => {
  let browser: Browser;
  let companion: IdentityCompanion;
  let panel: SimulatedPanel;
  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    companion = new IdentityCompanion();
    // Darker than what was sent, so that a captured result would show.
    companion.change = (value) => value >> 1;
    [browser] = await Promise.all([launchBrowser(chromium), companion.listen()]);
  });
  beforeEach(async () => {
    companion.edits.clear();
    panel = await openPanel(browser, { companion: () => companion.url, token: 'any' });
    await panel.page.getByText(/^Ready/).waitFor();
    await panel.page.getByLabel('Instruction').fill('darker');
    await panel.photoshop((controls) => {
      controls.openDocument({ width: 40, height: 30, layers: [{ name: 'top' }, { isBackground: true }] });
      controls.select({ bounds: { left: 4, top: 3, right: 30, bottom: 25 } });
      controls.mark();
    });
  });
  afterEach(() => panel.close());
  afterAll(async () => {
    await browser?.close();
    await companion?.close();
  });

  const button = (name: string) => panel.page.getByRole('button', { name, exact: true });
  const layers = () => panel.photoshop((controls) => controls.layers());
  const shown = async (): Promise<boolean[]> =>
    (await layers()).filter(({ name }) => name === 'darker').map(({ visible }) => visible);
  async function press(name: string): Promise<void> {
    const before = await layers();
    await button(name).click();
    await expect.poll(async () => (await layers()).length, patient).toBe(before.length + 1);
    await button('Run').waitFor();
    await button('New seed').waitFor();
  }
  const pictures = () =>
    [...companion.edits.values()].map(({ tensors }) => [...tensors.get('edit')!.data].join());
  const seeds = () => [...companion.edits.values()].map(({ metadata }) => JSON.parse(metadata.request!).seed);
  /** The active result, as changed by a person. */
  const change = (given: object) =>
    panel.photoshop((controls, values) => controls.edit(controls.activeIDs()[0]!, values), given);

  test('is left out of the next capture, with a note; another seed reuses the first capture', async () => {
    await press('Run');
    await press('Run');
    await panel.page.getByText('The result that is not kept yet was left out of the picture').waitFor();
    await panel.photoshop((controls) => {
      controls.select({ bounds: { left: 0, top: 0, right: 9, bottom: 9 } });
    });
    await press('New seed');
    const [first, second, third] = pictures();
    expect(second).toBe(first);
    expect(third).toBe(first);
    // The current selection isn't used either.
    const masks = [...companion.edits.values()].map(({ tensors }) => [...tensors.get('mask')!.data].join());
    expect(masks[2]).toBe(masks[0]);
    const [, , seed] = seeds();
    expect(Number.isInteger(seed)).toBe(true);
    expect(panel.faults).toEqual([]);
  });

  test('is left out even if its own layer is selected for editing', async () => {
    await button('Selected layer').click();
    await press('Run');
    await press('Run');
    const [first, second] = pictures();
    expect(second).toBe(first);
  });

  test('can be compared with others and one kept; one undo restores the others', async () => {
    await press('Run');
    await press('New seed');
    await press('New seed');
    expect(await shown()).toEqual([true, false, false]);
    await panel.page.getByText('3 not kept yet').waitFor();
    await button('Result 2').click();
    await expect.poll(shown).toEqual([false, true, false]);
    await button('Keep').click();
    await expect.poll(shown).toEqual([true]);
    await button('Keep').waitFor({ state: 'detached' });
    expect(await panel.photoshop((controls) => controls.undo())).toBe('Keep a result');
    expect(await shown()).toEqual([false, true, false]);
    // Kept, it is part of the picture.
    await panel.photoshop((controls) => controls.activate(1));
    await press('Run');
    const found = pictures();
    expect(found[3]).not.toBe(found[0]);
    expect(panel.faults).toEqual([]);
  });

  test('can be discarded, which shows the previous one', async () => {
    await press('Run');
    await press('New seed');
    await button('Discard').click();
    await expect.poll(shown).toEqual([true]);
    await button('Discard').click();
    await expect.poll(shown).toEqual([]);
    await button('New seed').waitFor({ state: 'detached' });
    expect(await panel.photoshop((controls) => controls.undoSteps())).toEqual([
      'ACE++: darker',
      'ACE++: darker',
      'Discard a result',
      'Discard a result',
    ]);
  });

  test('is removed by one undo, and no longer offered', async () => {
    await press('Run');
    await panel.photoshop((controls) => controls.undo());
    await panel.photoshop((controls) => controls.simulator.notify());
    await button('New seed').waitFor({ state: 'detached' });
    expect(await panel.photoshop((controls) => controls.isAsMarked())).toBe(true);
  });

  test.each([
    ['moves it', { bounds: true }],
    ['renames it', { name: 'mine' }],
    ['changes its opacity', { opacity: 60 }],
    ['changes its blend mode', { blendMode: 'multiply' }],
    ['paints on it', { paint: 'pixels' }],
    ['paints on its mask', { paint: 'mask' }],
  ])('counts as kept once the person %s: the next capture includes it', async (_, how) => {
    await press('Run');
    const changes = await panel.photoshop((controls) => {
      const { pixels, mask } = controls.stateOf(controls.activeIDs()[0]!);
      return { pixels, mask: mask! };
    });
    if ('bounds' in how) {
      await panel.photoshop((controls) => {
        const layer = controls.simulator.layerOf(controls.simulator.active!, controls.activeIDs()[0]!);
        // Together with its linked mask: the visible pixels stay the same.
        for (const part of ['pixels', 'mask'] as const) {
          const { left, top, right, bottom } = layer[part]!.bounds;
          layer[part] = { ...layer[part]!, bounds: { left: left + 1, top, right: right + 1, bottom } };
        }
        controls.simulator.notify();
      });
    } else if ('paint' in how) {
      await panel.photoshop((controls, what) => {
        const layer = controls.simulator.layerOf(controls.simulator.active!, controls.activeIDs()[0]!);
        const plane = layer[what as 'pixels' | 'mask']!;
        const data = plane.data.slice();
        // A pixel in the middle of the selection.
        const width = plane.bounds.right - plane.bounds.left;
        const channels = what === 'mask' ? 1 : 4;
        const at = ((15 - plane.bounds.top) * width + 17 - plane.bounds.left) * channels;
        data[at] = data[at]! > 100 ? 0 : 255;
        layer[what as 'pixels' | 'mask'] = { ...plane, data };
      }, how.paint);
    } else await change(how);
    expect(changes.pixels.data.length).toBeGreaterThan(0);
    await panel.photoshop((controls) => controls.activate(1));
    await button('Run').click();
    await expect.poll(() => companion.edits.size, patient).toBe(2);
    const [first, second] = pictures();
    expect(second).not.toBe(first);
  });

  test.each([
    'moves it below another layer',
    'clips it',
    'puts it into a group',
  ])('counts as kept once the person %s', async (how) => {
    await press('Run');
    await panel.photoshop((controls, what) => {
      const { simulator } = controls;
      const { state } = simulator.active!;
      const [result, ...others] = state.layers;
      if (what === 'clips it') result!.clipped = true;
      else if (what === 'puts it into a group') {
        const group = { ...others[0]!, id: simulator.newId(), kind: 'group' as const, children: [result!] };
        state.layers = [group, ...others];
      } else state.layers = [others[0]!, result!, ...others.slice(1)];
      simulator.notify();
    }, how);
    await button('Keep').waitFor({ state: 'detached' });
  });

  test('counts as kept once its document is closed', async () => {
    await press('Run');
    await panel.photoshop((controls) => {
      controls.reopen();
      controls.activate(1);
      controls.select({ bounds: { left: 4, top: 3, right: 30, bottom: 25 } });
    });
    await button('New seed').waitFor({ state: 'detached' });
    await button('Run').click();
    await expect.poll(() => companion.edits.size, patient).toBe(2);
    const [first, second] = pictures();
    expect(second).not.toBe(first);
  });

  test('is shown and hidden without counting as edited', async () => {
    await press('Run');
    await change({ visible: false });
    await button('Run').click();
    await expect.poll(() => companion.edits.size, patient).toBe(2);
    const [first, second] = pictures();
    expect(second).toBe(first);
  });
});
