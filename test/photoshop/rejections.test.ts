import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PhotoshopModule } from '../../plugins/photoshop/api.ts';
import { findChromium, launchBrowser } from '../browser/browser.ts';
import { IdentityCompanion } from './identity-companion.ts';
import { openPanel, type SimulatedPanel } from './panel.ts';

declare global {
  interface Window {
    readonly require: (name: 'photoshop') => PhotoshopModule;
  }
}

const chromium = findChromium();
const patient = { timeout: 15_000 };

/**
 * What a naive plugin writes, and Photoshop's answer. `layer` is the active layer, `grey` a one-pixel mask.
 */
type Naive = (photoshop: PhotoshopModule) => Promise<unknown>;

describe.skipIf(!chromium && !process.env.CI)('simulated Photoshop rejects', () => {
  let browser: Browser;
  let companion: IdentityCompanion;
  let panel: SimulatedPanel;
  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    companion = new IdentityCompanion();
    [browser] = await Promise.all([launchBrowser(chromium), companion.listen()]);
  });
  beforeEach(async () => {
    companion.isHeld = false;
    companion.edits.clear();
    panel = await openPanel(browser, { companion: () => companion.url, token: 'any' });
    await panel.page.getByText(/^Ready/).waitFor();
    await panel.page.getByLabel('Instruction').fill('as it is');
    await panel.photoshop((controls) => {
      controls.openDocument({
        width: 64,
        height: 48,
        layers: [
          { name: 'offset', bounds: { left: -10, top: -5, right: 30, bottom: 20 } },
          { name: 'text', kind: 'text', bounds: { left: 10, top: 5, right: 30, bottom: 20 } },
          { name: 'locked', locked: true },
          { name: 'group', children: [{ bounds: { left: 0, top: 0, right: 9, bottom: 9 } }] },
          { name: 'background', isBackground: true },
        ],
      });
      controls.select({ bounds: { left: 8, top: 6, right: 50, bottom: 40 }, feather: 3 });
      controls.mark();
    });
  });
  afterEach(() => panel.close());
  afterAll(async () => {
    await browser?.close();
    await companion?.close();
  });

  /** Runs a naive plugin's code in the page; returns its error message. */
  async function naively(work: Naive): Promise<string> {
    const source = `(async () => {
      try { await (${work.toString()})(window.require('photoshop')); return ''; }
      catch (error) { return error.message; }
    })()`;
    return panel.page.evaluate(source);
  }
  const pressRun = () => panel.page.getByRole('button', { name: 'Run', exact: true }).click();
  const keep = () => panel.page.getByRole('button', { name: 'Keep as layer' });
  const names = () => panel.photoshop((controls) => controls.layers().map(({ name }) => name));
  const alert = () => panel.page.getByRole('alert');

  /** Runs the panel's own edit and waits for its layer. */
  async function runs(): Promise<void> {
    await pressRun();
    await expect.poll(names, patient).toContain('as it is');
  }

  test('writes outside a modal scope', async () => {
    expect(await naively(async ({ app }) => app.activeDocument!.createPixelLayer({ name: 'new' }))).toMatch(
      /only allowed from inside a modal scope/,
    );
    expect(
      await naively(async ({ app }) => {
        app.activeDocument!.layers[0]!.visible = false;
      }),
    ).toMatch(/only allowed from inside a modal scope/);
    await runs();
  });

  test('a modal scope while another is open; the panel waits for it to end', async () => {
    expect(
      await naively(({ core }) =>
        core.executeAsModal(() => core.executeAsModal(async () => 1, { commandName: 'in' }), {
          commandName: 'out',
        }),
      ),
    ).toMatch(/modal state/);
    await panel.photoshop((controls) => {
      controls.simulator.heldElsewhere = true;
      setTimeout(() => {
        controls.simulator.heldElsewhere = false;
      }, 700);
    });
    await runs();
  });

  test('a scope under a dialog that stays open, which is reported; the result waits', async () => {
    companion.isHeld = true;
    await pressRun();
    await expect.poll(() => companion.edits.size, patient).toBe(1);
    await panel.photoshop((controls) => {
      controls.simulator.heldElsewhere = true;
    });
    companion.isHeld = false;
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(/dialog/);
    await panel.photoshop((controls) => {
      controls.simulator.heldElsewhere = false;
    });
    await keep().click();
    await expect.poll(names, patient).toContain('as it is');
    companion.edits.clear();
  }, 240_000);

  test.each([
    1, 3, 4, 6,
  ])('every call once the person has cancelled (after %i calls); the panel leaves nothing behind and keeps the result', async (calls) => {
    companion.isHeld = true;
    await pressRun();
    await expect.poll(() => companion.edits.size, patient).toBe(1);
    await panel.photoshop((controls, after) => {
      controls.simulator.cancelAfter = after;
    }, calls);
    companion.isHeld = false;
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(/was cancelled in Photoshop/);
    expect(await panel.photoshop((controls) => controls.isAsMarked())).toBe(true);
    expect(await panel.photoshop((controls) => controls.simulator.images.size)).toBe(0);
    await keep().click();
    await expect.poll(names, patient).toContain('as it is');
  });

  test.each([
    'createImageDataFromBuffer',
    'putPixels',
    'putLayerMask',
  ])('a step that fails midway (%s): everything is rolled back, and the result is kept', async (step) => {
    await panel.photoshop((controls, failing) => {
      controls.simulator.failing = failing;
    }, step);
    await pressRun();
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(/scratch disk is full/);
    expect(await panel.photoshop((controls) => [controls.isAsMarked(), controls.undoSteps()])).toEqual([
      true,
      [],
    ]);
    expect(await panel.photoshop((controls) => controls.simulator.images.size)).toBe(0);
    await panel.photoshop((controls) => {
      controls.simulator.failing = undefined;
    });
    await keep().click();
    await expect.poll(names, patient).toContain('as it is');
  });

  test('to merge undo steps without a suspended history: each change leaves its own', async () => {
    await naively(({ app, core }) =>
      core.executeAsModal(
        async () => {
          const layer = await app.activeDocument!.createPixelLayer({ name: 'naive' });
          layer.visible = false;
          throw new Error('something fails');
        },
        { commandName: 'naive' },
      ),
    );
    expect(await panel.photoshop((controls) => controls.undoSteps())).toHaveLength(2);
    expect(await names()).toContain('naive');
  });

  test('more pixels than a layer has: reads are trimmed, and start elsewhere', async () => {
    const found = await panel.page.evaluate(async () => {
      const { app, imaging } = window.require('photoshop');
      const { id, layers } = app.activeDocument!;
      const sourceBounds = { left: 0, top: 0, right: 64, bottom: 48 };
      const options = { colorSpace: 'RGB', colorProfile: 'sRGB IEC61966-2.1', componentSize: 8 } as const;
      const read = await imaging.getPixels({
        documentID: id,
        layerID: layers[0]!.id,
        sourceBounds,
        ...options,
      });
      const { length } = await read.imageData.getData({ chunky: true });
      read.imageData.dispose();
      return { length, bounds: read.sourceBounds };
    });
    expect(found).toEqual({ length: 30 * 20 * 4, bounds: { left: 0, top: 0, right: 30, bottom: 20 } });
    // For the layer alone, the panel sends all its surroundings, transparent where it has no pixels.
    await panel.page.getByRole('button', { name: 'Selected layer' }).click();
    await runs();
    const { tensors } = [...companion.edits.values()].at(-1)!;
    const { shape, data } = tensors.get('edit')!;
    expect(shape).toEqual([48, 64, 4]);
    const alpha = (x: number, y: number) => data[(y * 64 + x) * 4 + 3];
    expect([alpha(29, 19), alpha(30, 19), alpha(29, 20)]).toEqual([255, 0, 0]);
  });

  test('an alpha that does not exist: a background has three components', async () => {
    const components = await panel.page.evaluate(async () => {
      const { app, imaging } = window.require('photoshop');
      const { id, layers } = app.activeDocument!;
      const read = (layerID: number) =>
        imaging.getPixels({
          documentID: id,
          layerID,
          sourceBounds: { left: 0, top: 0, right: 4, bottom: 4 },
          colorSpace: 'RGB',
          colorProfile: 'sRGB IEC61966-2.1',
          componentSize: 8,
        });
      const reads = [await read(layers[0]!.id), await read(layers[4]!.id)];
      return reads.map(({ imageData }) => {
        imageData.dispose();
        return imageData.components;
      });
    });
    expect(components).toEqual([4, 3]);
  });

  const put = (samples: string, layer: number, size = [1, 1, 3]) =>
    naively(
      new Function(
        'photoshop',
        `const { app, core, imaging } = photoshop;
        const { id, layers } = app.activeDocument;
        const [width, height, components] = ${JSON.stringify(size)};
        return core.executeAsModal(async () => {
          const imageData = await imaging.createImageDataFromBuffer(${samples}, {
            width, height, components, chunky: true, colorSpace: 'RGB', colorProfile: 'sRGB IEC61966-2.1' });
          try {
            await imaging.putPixels({ documentID: id, layerID: layers[${layer}].id, imageData, replace: true,
              targetBounds: { left: 0, top: 0 } });
          } finally { imageData.dispose(); }
        }, { commandName: 'put' })`,
      ) as Naive,
    );

  test('16 bits beyond 32768', async () => {
    expect(await put('new Uint16Array([0, 40000, 65535])', 0)).toMatch(/from 0 to 32768/);
  });
  test('a buffer of another length', async () => {
    expect(await put('new Uint8Array(4)', 0)).toMatch(/4 samples are not 1 x 1 x 3/);
    expect(await put('new Uint8Array(64 * 48 * 3)', 0, [63, 48, 3])).toMatch(/are not 63 x 48 x 3/);
  });
  test('another depth than the document’s', async () => {
    expect(await put('new Uint16Array(3)', 0)).toMatch(/16 bits do not fit/);
  });
  test.each([
    ['text', 1, /not a pixel layer/],
    ['locked', 2, /is locked/],
    ['group', 3, /not a pixel layer/],
    ['background', 4, /is locked/],
  ] as const)('pixels for a %s layer; the panel puts its own layer above it', async (name, place, message) => {
    expect(await put('new Uint8Array(3)', place)).toMatch(message);
    await panel.photoshop((controls, active) => controls.activate(active), place);
    await runs();
    const found = await names();
    expect(found[found.indexOf('as it is') + 1]).toBe(name);
  });

  test('image data that was disposed of, and remembers what was not', async () => {
    expect(
      await naively(async ({ app, imaging }) => {
        const { imageData } = await imaging.getSelection({
          documentID: app.activeDocument!.id,
          sourceBounds: { left: 8, top: 6, right: 50, bottom: 40 },
        });
        imageData.dispose();
        await imageData.getData({ chunky: true });
      }),
    ).toMatch(/was disposed of/);
    await naively(async ({ app, imaging }) =>
      imaging.getSelection({
        documentID: app.activeDocument!.id,
        sourceBounds: { left: 8, top: 6, right: 50, bottom: 40 },
      }),
    );
    expect(await panel.photoshop((controls) => controls.simulator.images.size)).toBe(1);
  });

  test('an empty selection; the panel takes the whole picture', async () => {
    await panel.photoshop((controls) => controls.select());
    expect(
      await naively(async ({ app, imaging }) =>
        imaging.getSelection({
          documentID: app.activeDocument!.id,
          sourceBounds: { left: 0, top: 0, right: 64, bottom: 48 },
        }),
      ),
    ).toMatch(/nothing is selected/);
    await runs();
    expect([...companion.edits.values()].at(-1)!.tensors.has('mask')).toBe(false);
  });

  test('to harden a feather: intermediate values reach the companion', async () => {
    await runs();
    const { data } = [...companion.edits.values()].at(-1)!.tensors.get('mask')!;
    expect(new Set(data)).toEqual(new Set([0, 64, 128, 191, 255]));
  });

  test('a closed document; the panel offers the result until it is reopened', async () => {
    companion.isHeld = true;
    await pressRun();
    await expect.poll(() => companion.edits.size, patient).toBe(1);
    await panel.photoshop((controls) => controls.close());
    companion.isHeld = false;
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(/“Untitled-1” was closed.*Open it again/s);
    await panel.photoshop((controls) => {
      controls.openDocument({ name: 'another', width: 64, height: 48 });
      controls.openDocument({ width: 64, height: 48 });
    });
    await keep().click();
    await expect.poll(names, patient).toEqual(['as it is', 'Layer']);
    expect(panel.faults).toEqual([]);
  });

  test('DOM calls on an inactive document; the panel places the result in its source document, and switches back', async () => {
    companion.isHeld = true;
    await pressRun();
    await expect.poll(() => companion.edits.size, patient).toBe(1);
    const [first, second] = await panel.photoshop((controls) => {
      const { id } = controls.simulator.active!;
      return [id, controls.openDocument({ name: 'another', width: 30, height: 30 })];
    });
    expect(
      await naively(({ app, core }) =>
        core.executeAsModal(async () => app.documents[0]!.createPixelLayer({ name: 'x' }), {
          commandName: 'x',
        }),
      ),
    ).toMatch(/not the active document/);
    companion.isHeld = false;
    await expect
      .poll(
        () => panel.photoshop((controls, id) => controls.layers(id).map(({ name }) => name), first!),
        patient,
      )
      .toContain('as it is');
    expect(await panel.photoshop((controls) => controls.simulator.active!.id)).toBe(second);
  });

  test('a layer that has been deleted, but the result is not lost: it goes on top', async () => {
    companion.isHeld = true;
    await pressRun();
    await expect.poll(() => companion.edits.size, patient).toBe(1);
    await panel.photoshop((controls) => controls.deleteLayer(0));
    companion.isHeld = false;
    await expect.poll(async () => (await names())[0], patient).toBe('as it is');
  });

  test('a result between a layer and those clipped to it', async () => {
    await panel.photoshop((controls) => {
      controls.openDocument({
        width: 40,
        height: 30,
        layers: [{ name: 'clipped', clipped: true }, { name: 'base' }, { isBackground: true }],
      });
      controls.activate(1);
    });
    await runs();
    expect(await names()).toEqual(['as it is', 'clipped', 'base', 'Layer']);
  });

  test('a layer in a locked group: the result goes above it', async () => {
    await panel.photoshop((controls) => {
      controls.openDocument({
        width: 40,
        height: 30,
        layers: [
          {
            name: 'locked',
            locked: true,
            children: [{ name: 'inside', bounds: { left: 0, top: 0, right: 9, bottom: 9 } }],
          },
          { isBackground: true },
        ],
      });
      const { state } = controls.simulator.active!;
      state.active = [state.layers[0]!.children[0]!.id];
    });
    await runs();
    expect(await names()).toEqual(['as it is', 'locked', 'Layer']);
  });

  test('network requests during a modal scope', async () => {
    await naively(({ core }) =>
      core.executeAsModal(
        () =>
          new Promise<void>((resolve, reject) => {
            const request = new XMLHttpRequest();
            request.open('GET', 'http://127.0.0.1:47810/v1/health');
            request.onload = () => resolve();
            request.onerror = () => reject(new Error('denied'));
            request.send();
          }),
        { commandName: 'naive' },
      ),
    ).then((message) => expect(message).toBe('denied'));
  });

  test('DOM features that browsers have and UXP lacks', async () => {
    const found = await panel.page.evaluate(async () => ({
      handlers: ['onclick', 'oninput', 'onchange', 'onkeydown'].filter(
        (name) => name in document.createElement('button'),
      ),
      absent: ['MutationObserver', 'matchMedia', 'EventSource', 'URLSearchParams'].filter(
        (name) => name in window,
      ),
      members: [
        'replaceChildren' in document.body,
        'onloadend' in new XMLHttpRequest(),
        'randomUUID' in crypto,
      ],
      canvas:
        'drawImage' in CanvasRenderingContext2D.prototype ||
        'getImageData' in CanvasRenderingContext2D.prototype,
      streams: await fetch('http://127.0.0.1:47810/v1/health').then(
        () => 'fetched',
        (error: Error) => error.message,
      ),
    }));
    expect(found).toEqual({
      handlers: [],
      absent: [],
      members: [false, false, false],
      canvas: false,
      streams: 'the simulator offers XMLHttpRequest alone',
    });
    // `onClick` is then heard as "Click", and never fires: Preact's usual way would leave every button dead.
    const heard = await panel.page.evaluate(() => {
      const button = document.createElement('button');
      let clicks = 0;
      const name = 'onclick' in button ? 'click' : 'Click';
      button.addEventListener(name, () => clicks++);
      button.click();
      return clicks;
    });
    expect(heard).toBe(0);
  });

  test('styles that UXP does not support: the panel uses none', () => {
    expect(panel.cutStyles).toEqual([]);
  });

  test.each([
    ['indexedColorMode', /mode indexed, which cannot be edited.*Mode > RGB/s],
    ['bitmapMode', /mode bitmap/],
  ])('documents without layers (%s), with an explanation', async (modeName, words) => {
    await panel.photoshop(
      (controls, mode) => controls.openDocument({ width: 20, height: 20, modeName: mode }),
      modeName,
    );
    await pressRun();
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(words);
  });

  test('nothing to edit: no document, an empty layer, an empty selection', async () => {
    await panel.photoshop((controls) => controls.close());
    await pressRun();
    await alert().waitFor();
    expect(await alert().innerText()).toMatch(/No document is open/);
    await panel.photoshop((controls) =>
      controls.openDocument({
        width: 20,
        height: 20,
        layers: [{ name: 'empty', bounds: { left: 0, top: 0, right: 0, bottom: 0 } }, { isBackground: true }],
      }),
    );
    await panel.page.getByRole('button', { name: 'Selected layer' }).click();
    await pressRun();
    await panel.page.getByText('The layer “empty” has no pixels').waitFor();
    expect(panel.faults).toEqual([]);
  });
});
