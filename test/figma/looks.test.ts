import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../server/disk/paths.ts';
import { type Companion, findChromium, glimpse, launchBrowser, startCompanion } from '../browser/browser.ts';
import { type Built, built } from './driver.ts';
import { FigmaApi } from './simulator/figma-api.ts';
import { type OpenPlugin, openPlugin, serveEmbedder } from './simulator/plugin.ts';
import { Scene } from './simulator/scene.ts';
import { themeCSS } from './simulator/theme.ts';

const chromium = findChromium();
const artifacts = path.join(projectRoot, 'test/artifacts/figma');
const schemes = ['light', 'dark'] as const;

/** A photo with a long name, a shape over it, one far from it, and two layers to refer to. */
async function photoOfTheHouse() {
  const scene = new Scene();
  const bytes = await readFile(path.join(projectRoot, 'plugins/browser/assets/sample-picture.jpg'));
  const api = new FigmaApi({ scene, storage: new Map(), showUI: () => undefined, toUI: () => undefined });
  const { hash } = (api.global.createImage as (bytes: Uint8Array) => { hash: string })(new Uint8Array(bytes));
  const photo = scene.add(scene.page, 'RECTANGLE', {
    name: 'Hero photo of the landing page, retouched, final 2',
    width: 256,
    height: 192,
    fills: [{ type: 'IMAGE', imageHash: hash, scaleMode: 'FILL' }],
  });
  const at = (name: string, x: number, y: number, side: number, red: number) =>
    scene.add(scene.page, 'ELLIPSE', {
      name,
      width: side,
      height: side,
      relativeTransform: [
        [1, 0, x],
        [0, 1, y],
      ],
      fills: [{ type: 'SOLID', color: { r: red, g: 0.3, b: 1 - red } }],
    });
  return {
    scene,
    photo,
    shape: at('Shape over the picture', 80, 60, 90, 0),
    far: at('Far away', 900, 900, 50, 0),
    red: at('Brand colours, red', 400, 0, 40, 1),
    blue: at('Brand colours, blue', 460, 0, 40, 0),
  };
}

/** Runs in the panel: finds what doesn't have the dimensions of Figma's own panels. */
function offMeasure(): string[] {
  const controls = 'button, select, input';
  return [...document.querySelectorAll<HTMLElement>('.plugin *')].flatMap((element) => {
    const { fontSize, borderTopWidth, borderTopColor } = getComputedStyle(element);
    const { height } = element.getBoundingClientRect();
    const said = (what: string) => `${what}: ${element.outerHTML.slice(0, 80)}`;
    const hasText = [...element.childNodes].some(({ nodeType }) => nodeType === Node.TEXT_NODE);
    const isControl = element.matches(controls);
    const hasOutline = borderTopWidth !== '0px' && borderTopColor !== 'rgba(0, 0, 0, 0)';
    return [
      ...((hasText || element.matches('select, input[type="text"]')) && fontSize !== '11px'
        ? [said(`type of ${fontSize}`)]
        : []),
      ...(isControl && (height < 24 || height > 32) ? [said(`${height} px high`)] : []),
      ...(isControl && hasOutline && !element.matches(':focus') ? [said('an outline')] : []),
      ...(element.matches('textarea') && (fontSize !== '11px' || height < 40) ? [said('instruction')] : []),
    ];
  });
}

describe.skipIf(!chromium && !process.env.CI)(
  'the panel in simulated Figma, in every state and both themes, with nothing cut off',
  () => {
    let browser: Browser;
    let companion: Companion;
    let plugin: Built;
    let embedder: Awaited<ReturnType<typeof serveEmbedder>>;
    beforeAll(async () => {
      if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
      await mkdir(artifacts, { recursive: true });
      [browser, companion, embedder] = await Promise.all([
        launchBrowser(chromium),
        startCompanion(),
        serveEmbedder(),
      ]);
      plugin = await built([Number(new URL(companion.origin).port)]);
    });
    afterAll(async () => {
      await browser?.close();
      await companion?.stop();
      embedder?.close();
      await plugin?.remove();
    });

    const open = (scene: Scene, storage: Map<string, unknown>) =>
      openPlugin(browser, plugin.folder, { scene, storage, embedder: embedder.url });

    /** A picture in each theme; Figma changes its variables under an open panel, and so does this. */
    async function shoot({ page }: OpenPlugin, state: string): Promise<void> {
      const frame = page.frames()[1]!;
      await page.mouse.move(1, 719);
      for (const scheme of schemes) {
        await frame.evaluate(async (css) => {
          document.querySelector('style')!.textContent = css;
          // The frame is painted by a process of its own: a picture taken at once may still show the other
          // theme.
          for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
        }, themeCSS(scheme));
        await page.screenshot({ path: path.join(artifacts, `${state}-${scheme}.png`) });
      }
      const cut = await frame.evaluate(() =>
        [...document.querySelectorAll('.plugin *')]
          .filter((element) => {
            const { right, bottom } = element.getBoundingClientRect();
            // What lies in the scrolled part may reach below; the head, the foot and all sides may not.
            const isBelow = bottom > innerHeight + 0.5 && !element.closest('.panel-scroll');
            return right > innerWidth + 0.5 || isBelow;
          })
          .map((element) => element.outerHTML.slice(0, 120)),
      );
      expect(cut, state).toEqual([]);
      expect(await frame.evaluate(offMeasure), state).toEqual([]);
    }

    const button = ({ ui }: OpenPlugin, name: string) => ui.getByRole('button', { name, exact: true });

    async function setNumbers(one: OpenPlugin, numbers: Readonly<Record<string, number>>): Promise<void> {
      await button(one, 'Advanced').click();
      for (const [name, value] of Object.entries(numbers)) {
        await one.ui.getByLabel(name).fill(String(value));
        await one.ui.getByLabel(name).press('Tab');
      }
      await button(one, 'Advanced').click();
    }

    test('not paired, asking for a code, wrong digits, a rejected token', async () => {
      const one = await open(new Scene(), new Map());
      await one.ui.getByText('not paired yet').waitFor({ timeout: 20_000 });
      await shoot(one, '3-unpaired');
      await button(one, 'Show a code').click();
      await one.ui.getByPlaceholder('123456').waitFor();
      await shoot(one, '4-code');
      await one.ui.getByLabel('Code or token').fill('000000');
      await button(one, 'Pair').click();
      await one.ui.getByRole('alert').waitFor();
      await shoot(one, '5-wrong-digits');
      await one.ui.getByLabel('Code or token').fill('not-the-token');
      await button(one, 'Pair').click();
      await one.ui.getByText('refuses this panel').waitFor();
      await expect.poll(() => one.ui.getByRole('alert').count()).toBe(1);
      await shoot(one, '6-refused');
      await one.close();
    }, 60_000);

    test('from an empty selection to results, errors and a result that arrived while the panel was closed', async () => {
      const { scene, photo, shape, far, red, blue } = await photoOfTheHouse();
      const storage = new Map<string, unknown>([['token', companion.token]]);
      let one = await open(scene, storage);
      await one.ui.getByText(/^Ready/).waitFor({ timeout: 20_000 });
      await shoot(one, '7-nothing-selected');
      one.select(photo);
      // 960x640 in a shape of 4:3.
      await one.ui.getByText('854 × 640').waitFor();
      await shoot(one, '8-selected');
      await button(one, 'Advanced').click();
      await shoot(one, '21-advanced');
      await button(one, 'Advanced').click();
      await button(one, 'Pin').click();
      one.select(red, blue);
      await button(one, 'Add layer').click();
      await one.ui.getByText('{image2}', { exact: true }).waitFor();
      await shoot(one, '9-references');
      await button(one, 'Remove Brand colours, red').click();
      await button(one, 'Remove Brand colours, blue').click();
      await button(one, 'Pinned').click();

      one.select(far);
      await button(one, 'Use as mask').click();
      one.select(photo);
      await one.ui.getByLabel('Instruction').fill('a red circle');
      await button(one, 'Run').click();
      await one.ui.getByRole('alert').waitFor();
      await shoot(one, '10-error');
      await button(one, 'Dismiss').click();
      await button(one, 'Remove').click();

      await button(one, 'Paint').click();
      const box = (await one.ui.getByRole('application').boundingBox())!;
      await one.page.mouse.move(box.x + box.width * 0.4, box.y + box.height * 0.5);
      await one.page.mouse.down();
      await one.page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.6, { steps: 5 });
      await one.page.mouse.up();
      await shoot(one, '11-painting');
      await button(one, 'Remove').click();

      one.select(shape);
      await button(one, 'Use as mask').click();
      one.select(photo);
      await shoot(one, '12-mask-of-a-layer');
      await setNumbers(one, { Steps: 200, Seed: 7 });
      await button(one, 'Run').click();
      await glimpse(one.ui, /s left/);
      await shoot(one, '13-running');
      await button(one, 'Cancel').click();
      await one.ui.getByText('Cancelled').waitFor();
      await shoot(one, '14-cancelled');

      await setNumbers(one, { Steps: 4, Variants: 3 });
      await button(one, 'Run').click();
      await button(one, 'Variant 2').click({ timeout: 60_000 });
      await shoot(one, '15-variants');
      await button(one, 'Show before').click();
      await shoot(one, '16-before');
      await button(one, 'Discard').click();

      await setNumbers(one, { Variants: 1 });
      await button(one, 'Run').click();
      await button(one, 'Keep as layer').waitFor({ timeout: 60_000 });
      await shoot(one, '17-done');
      await one.close();
      one = await open(scene, storage);
      await one.ui.getByText('while the panel was away').waitFor({ timeout: 20_000 });
      await shoot(one, '18-offered-again');
      await button(one, 'Keep as layer').click();
      await button(one, 'Run').waitFor();
      one.select(scene.get(scene.page).children.find((id) => scene.get(id).name === 'a red circle')!);
      await button(one, 'Run this result’s recipe again').waitFor();
      await shoot(one, '19-result-selected');
      scene.get(shape).visible = false;
      one.select(shape);
      await one.ui.getByText('hidden or empty').first().waitFor();
      await shoot(one, '20-hidden-layer');
      expect(one.faults).toEqual([]);

      await companion.kill();
      one.select(photo);
      await one.ui.getByText('Companion not running. Reconnecting…').waitFor({ timeout: 20_000 });
      await shoot(one, '1-no-companion');
      await one.close();
    }, 180_000);
  },
);
