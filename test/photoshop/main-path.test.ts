import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../server/disk/paths.ts';
import { type Companion, findChromium, launchBrowser, startCompanion } from '../browser/browser.ts';
import { openPanel, type PanelOptions, type SimulatedPanel } from './panel.ts';
import type { DocumentRecipe, SelectionRecipe } from './simulator/scenes.ts';

const chromium = findChromium();
const artifacts = path.join(projectRoot, 'test/artifacts');

const middle = { left: 40, top: 30, right: 120, bottom: 100 };

describe.skipIf(!chromium && !process.env.CI)('simulated Photoshop, built panel, real companion', () => {
  let browser: Browser;
  let companion: Companion;
  const panels: SimulatedPanel[] = [];
  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    await mkdir(artifacts, { recursive: true });
    [browser, companion] = await Promise.all([launchBrowser(chromium), startCompanion()]);
  });
  afterEach(async () => {
    for (const panel of panels.splice(0)) await panel.close();
  });
  afterAll(async () => {
    await browser?.close();
    await companion?.stop();
  });

  async function open(options: Partial<PanelOptions> = {}): Promise<SimulatedPanel> {
    const panel = await openPanel(browser, {
      companion: () => companion.origin,
      token: companion.token,
      ...options,
    });
    panels.push(panel);
    return panel;
  }
  const run = ({ page }: SimulatedPanel) => page.getByRole('button', { name: 'Run', exact: true });

  async function prepare(panel: SimulatedPanel, instruction: string, steps = 2, variants = 1): Promise<void> {
    const { page } = panel;
    await page.getByText(/^Ready/).waitFor();
    await page.getByLabel('Instruction').fill(instruction);
    await page.getByRole('button', { name: 'Advanced' }).click();
    await page.getByLabel('Seed').fill('7');
    await page.getByLabel('Steps').fill(String(steps));
    await page.getByLabel('Variants').fill(String(variants));
    await page.getByLabel('Variants').press('Tab');
    await page.getByRole('button', { name: 'Advanced' }).click();
  }
  const layerNames = (panel: SimulatedPanel) =>
    panel.photoshop((controls) => controls.layers().map(({ name }) => name));
  /** Runs, and waits for the new layer. */
  async function runToLayer(panel: SimulatedPanel): Promise<void> {
    const before = (await layerNames(panel)).length;
    await run(panel).click();
    await expect.poll(async () => (await layerNames(panel)).length, { timeout: 240_000 }).toBe(before + 1);
    await run(panel).waitFor();
  }
  async function clean(panel: SimulatedPanel): Promise<void> {
    expect(panel.faults).toEqual([]);
    expect(await panel.photoshop((controls) => controls.refusals())).toEqual([]);
    expect(await panel.photoshop((controls) => controls.simulator.images.size)).toBe(0);
    expect(
      await panel.photoshop((controls) => controls.network.requests.filter(({ allowed }) => !allowed)),
    ).toEqual([]);
  }

  const cases: [string, DocumentRecipe, SelectionRecipe | undefined][] = [
    ['8 bits', { width: 160, height: 128 }, { bounds: middle }],
    ['8 bits, feathered', { width: 160, height: 128 }, { bounds: middle, feather: 12 }],
    ['16 bits, feathered', { width: 160, height: 128, depth: 16 }, { bounds: middle, feather: 12 }],
    ['32 bits', { width: 160, height: 128, depth: 32 }, { bounds: middle }],
    ['CMYK', { width: 160, height: 128, mode: 'CMYK' }, { bounds: middle, feather: 4 }],
    ['CMYK, 16 bits', { width: 160, height: 128, mode: 'CMYK', depth: 16 }, { bounds: middle }],
    ['greyscale', { width: 160, height: 128, mode: 'GRAYSCALE' }, { bounds: middle }],
    ['Lab', { width: 160, height: 128, mode: 'LAB', depth: 16 }, { bounds: middle }],
    ['Adobe RGB', { width: 160, height: 128, profile: 'Adobe RGB (1998)' }, { bounds: middle }],
    [
      'a transparent layer at a negative offset',
      {
        width: 160,
        height: 128,
        layers: [{ bounds: { left: -60, top: -40, right: 90, bottom: 80 }, holes: true }],
      },
      { bounds: { left: 0, top: 0, right: 70, bottom: 60 }, feather: 6 },
    ],
    ['no selection', { width: 160, height: 128 }, undefined],
  ];
  test.each(cases)(
    '%s: select, instruct, run; a masked layer appears, and one undo removes it',
    async (_, recipe, selection) => {
      const panel = await open();
      await panel.photoshop(
        (controls, [document, selected]) => {
          controls.openDocument(document);
          controls.select(selected);
          controls.mark();
        },
        [recipe, selection] as const,
      );
      await prepare(panel, 'a red circle');
      await runToLayer(panel);
      const [layer] = await panel.photoshop((controls) => controls.layers());
      expect(layer).toMatchObject({ name: 'a red circle', kind: 'pixel', visible: true, hasRecipe: true });
      const { width, height } = recipe;
      expect(layer!.maskBounds).toEqual({ left: 0, top: 0, right: width, bottom: height });
      expect(layer!.bounds).toEqual(selection?.bounds ?? { left: 0, top: 0, right: width, bottom: height });
      const compared = await panel.photoshop((controls) => controls.compare());
      expect(compared).toMatchObject({ changedOutside: 0, selectionKept: true });
      expect(compared.changedInside).toBeGreaterThan(1000);
      expect(await panel.photoshop((controls) => controls.undoSteps())).toEqual(['ACE++: a red circle']);
      await panel.photoshop((controls) => controls.undo());
      expect(await panel.photoshop((controls) => controls.isAsMarked())).toBe(true);
      await clean(panel);
    },
    120_000,
  );

  test('three references, from a layer, a group and a file, in the person’s order', async () => {
    const panel = await open();
    const { page } = panel;
    const file = await sharp({ create: { width: 40, height: 30, channels: 3, background: '#c02020' } })
      .png()
      .toBuffer();
    await panel.photoshop((controls, data) => {
      controls.openDocument({
        width: 160,
        height: 128,
        layers: [
          { name: 'text', kind: 'text', bounds: { left: -10, top: 5, right: 60, bottom: 40 }, holes: true },
          {
            name: 'set',
            visible: false,
            children: [{ bounds: { left: 90, top: 5, right: 130, bottom: 60 } }],
          },
          { name: 'base', isBackground: true },
        ],
      });
      controls.offerFiles([{ name: 'red.PNG', data }]);
      controls.select({ bounds: { left: 40, top: 30, right: 120, bottom: 100 } });
      controls.activate(0, 1);
      controls.mark();
    }, file.toString('base64'));
    await prepare(panel, 'put {image1} on {image3}');
    await page.getByRole('button', { name: 'Add layer' }).click();
    await page.getByText('{image2}', { exact: true }).waitFor();
    // The group was merged briefly: no trace of that remains.
    expect(await panel.photoshop((controls) => controls.isAsMarked())).toBe(true);
    await page.getByRole('button', { name: 'Add…' }).click();
    await page.getByText('{image3}', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Move red.PNG up' }).click();
    const names = await page.evaluate(() =>
      [...document.querySelectorAll('.reference-name')].map(({ textContent }) => textContent),
    );
    expect(names).toEqual(['text', 'red.PNG', 'set']);
    await panel.photoshop((controls) => controls.activate(2));
    await runToLayer(panel);
    expect(await layerNames(panel)).toEqual(['text', 'set', 'put {image1} on {image3}', 'base']);
    await clean(panel);
  }, 120_000);

  test('variants are layers in a group, one of them visible, and one undo removes all', async () => {
    const panel = await open();
    await panel.photoshop((controls) => {
      controls.openDocument({ width: 160, height: 128 });
      controls.select({ bounds: { left: 40, top: 30, right: 120, bottom: 100 } });
      controls.mark();
    });
    await prepare(panel, 'a red circle', 1, 3);
    await runToLayer(panel);
    const [group] = await panel.photoshop((controls) => controls.layers());
    expect(group).toMatchObject({ kind: 'group', name: 'a red circle' });
    expect(group!.children.map(({ visible, hasRecipe }) => [visible, hasRecipe])).toEqual([
      [true, true],
      [false, true],
      [false, true],
    ]);
    expect(await panel.photoshop((controls) => [controls.undo(), controls.isAsMarked()])).toEqual([
      'ACE++: a red circle',
      true,
    ]);
    await clean(panel);
  }, 120_000);

  test('the recipe is saved in the file: after reopening, the layer can be run again with the same result', async () => {
    const panel = await open();
    const { page } = panel;
    await panel.photoshop((controls) => {
      controls.openDocument({ width: 160, height: 128 });
      controls.select({ bounds: { left: 40, top: 30, right: 120, bottom: 100 }, feather: 5 });
    });
    await prepare(panel, 'a “red” circle & ☀', 3);
    await runToLayer(panel);
    await panel.photoshop((controls) => {
      controls.reopen();
      controls.mark();
    });
    await page.getByLabel('Instruction').fill('something else');
    await page.getByRole('button', { name: 'Advanced' }).click();
    await page.getByLabel('Steps').fill('9');
    await page.getByRole('button', { name: 'Use the selected layer’s recipe' }).click();
    await expect.poll(() => page.getByLabel('Instruction').inputValue()).toBe('a “red” circle & ☀');
    expect(await page.getByLabel('Seed').inputValue()).toBe('7');
    expect(await page.getByLabel('Steps').inputValue()).toBe('3');
    expect(await panel.photoshop((controls) => controls.selection())).toEqual(middle);
    expect(await panel.photoshop((controls) => controls.layers()[0]!.visible)).toBe(false);
    expect(await panel.photoshop((controls) => controls.undoSteps())).toEqual(['Prepare to run again']);
    await runToLayer(panel);
    await panel.photoshop((controls) => controls.activate(2));
    await page.getByRole('button', { name: 'Use the selected layer’s recipe' }).click();
    await page.getByText('was not made by this panel').waitFor();
    await clean(panel);
  }, 120_000);

  test('a recipe that cannot be written loses no picture: it is found in the companion’s history', async () => {
    const panel = await open();
    const { page } = panel;
    await panel.photoshop((controls) => {
      controls.openDocument({ width: 160, height: 128 });
      controls.select({ bounds: { left: 40, top: 30, right: 120, bottom: 100 }, feather: 5 });
      controls.simulator.xmpWriteFails = true;
      controls.simulator.xmpReadFails = true;
      controls.mark();
    });
    await prepare(panel, 'a red circle', 3);
    await runToLayer(panel);
    await page.getByText('could not write the recipe into the layer').waitFor();
    const [layer] = await panel.photoshop((controls) => controls.layers());
    expect(layer).toMatchObject({ name: 'a red circle', hasRecipe: false, visible: true });
    const useRecipe = async (): Promise<void> => {
      await page.getByLabel('Instruction').fill('something else');
      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByLabel('Steps').fill('9');
      await page.getByRole('button', { name: 'Use the selected layer’s recipe' }).click();
      await expect.poll(() => page.getByLabel('Instruction').inputValue()).toBe('a red circle');
      expect(await page.getByLabel('Seed').inputValue()).toBe('7');
      expect(await page.getByLabel('Steps').inputValue()).toBe('3');
      await page.getByRole('button', { name: 'Advanced' }).click();
    };
    await useRecipe();
    expect(await panel.photoshop((controls) => controls.selection())).toEqual(middle);
    // The preparation and the layer are one undo step each.
    expect(
      await panel.photoshop((controls) => [controls.undo(), controls.undo(), controls.isAsMarked()]),
    ).toEqual(['Prepare to run again', 'ACE++: a red circle', true]);
    // The note is also found from the saved file.
    await runToLayer(panel);
    await panel.photoshop((controls) => {
      controls.reopen();
    });
    await useRecipe();
    expect(panel.faults).toEqual([]);
  }, 120_000);

  test('a layer whose XMP cannot be read counts as not made here', async () => {
    const panel = await open();
    const { page } = panel;
    await panel.photoshop((controls) => controls.openDocument({ width: 96, height: 64 }));
    await page.getByText(/^Ready/).waitFor();
    await page.getByRole('button', { name: 'Advanced' }).click();
    await page.getByRole('button', { name: 'Use the selected layer’s recipe' }).click();
    await page.getByText('was not made by this panel').waitFor();
    expect(await panel.photoshop((controls) => controls.undoSteps())).toEqual([]);
    await clean(panel);
  }, 240_000);

  test('the recipe of a whole picture selects nothing, so that the whole is edited again', async () => {
    const panel = await open();
    const { page } = panel;
    await panel.photoshop((controls) => controls.openDocument({ width: 96, height: 64 }));
    await prepare(panel, 'make it night');
    // By keyboard, as the panel announces.
    await page.getByLabel('Instruction').press('Control+Enter');
    await expect.poll(async () => (await layerNames(panel)).length, { timeout: 240_000 }).toBe(2);
    await run(panel).waitFor();
    const whole = { left: 0, top: 0, right: 96, bottom: 64 };
    await panel.photoshop((controls, bounds) => controls.select({ bounds }), whole);
    await page.getByRole('button', { name: 'Advanced' }).click();
    await page.getByRole('button', { name: 'Use the selected layer’s recipe' }).click();
    await expect.poll(() => panel.photoshop((controls) => controls.layers()[0]!.visible)).toBe(false);
    expect(await panel.photoshop((controls) => controls.selection())).toBeNull();
    await clean(panel);
  }, 120_000);
});
