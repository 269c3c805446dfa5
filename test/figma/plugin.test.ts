import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Companion, findChromium, glimpse, launchBrowser, startCompanion } from '../browser/browser.ts';
import { type Built, built, png, putImage } from './driver.ts';
import { FigmaApi } from './simulator/figma-api.ts';
import { type OpenPlugin, openPlugin, serveEmbedder } from './simulator/plugin.ts';
import { render } from './simulator/render.ts';
import { type NodeState, Scene } from './simulator/scene.ts';

const chromium = findChromium();
if (!chromium && !process.env.CI) {
  console.warn('No Chromium here (set CHROMIUM): the tests of the Figma plugin are skipped.');
}

const area = { x: 0, y: 0, width: 400, height: 300 };

/** A photo in a turned card, and a shape over it on the page. */
async function pictureAndShape() {
  const scene = new Scene();
  const photoBytes = await png(200, 150, (x, y) => [
    (x * 7 + y) % 256,
    (y * 5 + x * 3) % 256,
    (x ^ y) % 256,
    255,
  ]);
  const api = new FigmaApi({ scene, storage: new Map(), showUI: () => undefined, toUI: () => undefined });
  const { hash } = (api.global.createImage as (bytes: Uint8Array) => { hash: string })(photoBytes);
  const card = scene.add(scene.page, 'FRAME', {
    name: 'Card',
    width: 260,
    height: 200,
    relativeTransform: [
      [1, 0, 60],
      [0, 1, 40],
    ],
    layoutMode: 'VERTICAL',
    padding: 20,
    fills: [{ type: 'SOLID', color: { r: 0.9, g: 0.9, b: 0.8 } }],
  });
  const photo = scene.add(card, 'RECTANGLE', {
    name: 'Photo',
    width: 200,
    height: 150,
    fills: [{ type: 'IMAGE', imageHash: hash, scaleMode: 'FILL' }],
  });
  const shape = scene.add(scene.page, 'ELLIPSE', {
    name: 'Blob',
    width: 70,
    height: 60,
    opacity: 0.5,
    relativeTransform: [
      [1, 0, 140],
      [0, 1, 100],
    ],
    fills: [{ type: 'SOLID', color: { r: 0, g: 0, b: 1 } }],
  });
  return { scene, card, photo, shape };
}

/** A photo, at (10, 20) on the page. */
async function photoIn(
  image: { width: number; height: number },
  box: { width: number; height: number },
  orientation?: number,
) {
  const scene = new Scene();
  const data = Buffer.alloc(image.width * image.height * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i * 31 + Math.floor(i / 3 / image.width) * 17) % 251;
  const raw = sharp(data, { raw: { ...image, channels: 3 } });
  const file = orientation
    ? raw.jpeg({ quality: 95 }).withMetadata({ orientation })
    : raw.png({ compressionLevel: 1 });
  const imageHash = putImage(scene, new Uint8Array(await file.toBuffer()));
  const photo = scene.add(scene.page, 'RECTANGLE', {
    name: 'Hero photo',
    ...box,
    relativeTransform: [
      [1, 0, 10],
      [0, 1, 20],
    ],
    fills: [{ type: 'IMAGE', imageHash, scaleMode: 'FILL' }],
  });
  return { scene, photo };
}

/** The pixels of an image that a rectangle was filled with. */
function sizeOfFill(scene: Scene, { fills: [fill] }: NodeState): { width: number; height: number } {
  const file = fill?.type === 'IMAGE' ? scene.images.get(fill.imageHash ?? '') : undefined;
  if (!file) throw new Error('no image');
  const view = new DataView(file.buffer, file.byteOffset);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** What is shown of it. */
function placedPart({ fills: [fill] }: NodeState): number[] {
  const [across, down] = fill?.type === 'IMAGE' && fill.imageTransform ? fill.imageTransform : [[], []];
  const part: number[] = [...across, ...down];
  return part.map((value) => Math.round(value * 1e9) / 1e9 + 0);
}

describe.skipIf(!chromium && !process.env.CI)(
  'the built plugin in the simulator, against the real companion (simulated)',
  () => {
    let browser: Browser;
    let companion: Companion;
    let plugin: Built;
    let embedder: Awaited<ReturnType<typeof serveEmbedder>>;
    const opened: OpenPlugin[] = [];

    beforeAll(async () => {
      if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
      [browser, companion, embedder] = await Promise.all([
        launchBrowser(chromium),
        startCompanion(),
        serveEmbedder(),
      ]);
      plugin = await built([Number(new URL(companion.origin).port)]);
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((one) => one.close()));
    });
    afterAll(async () => {
      await browser?.close();
      await companion?.stop();
      embedder?.close();
      await plugin?.remove();
    });

    async function open(
      scene: Scene,
      {
        isPaired = true,
        storage = new Map<string, unknown>(isPaired ? [['token', companion.token]] : []),
      } = {},
    ) {
      const one = await openPlugin(browser, plugin.folder, { scene, storage, embedder: embedder.url });
      opened.push(one);
      const { ui } = one;
      const button = (name: string) => ui.getByRole('button', { name, exact: true });
      const ready = () => ui.getByText(/^Ready/).waitFor({ timeout: 20_000 });
      const setNumbers = async (numbers: Readonly<Record<string, number>>): Promise<void> => {
        await button('Advanced').click();
        for (const [name, value] of Object.entries(numbers)) {
          await ui.getByLabel(name).fill(String(value));
          await ui.getByLabel(name).press('Tab');
        }
        await button('Advanced').click();
      };
      return { ...one, button, ready, setNumbers };
    }

    test('select a picture, a shape as mask, instruct, run, keep: a masked picture in its place, one undo', async () => {
      const { scene, card, photo, shape } = await pictureAndShape();
      const { ui, button, ready, setNumbers, select, faults, realm } = await open(scene);
      await ready();
      expect(await button('Run').isDisabled()).toBe(true);

      select(shape);
      await button('Use as mask').click();
      select(photo);
      await ui.getByText('Photo').waitFor();
      await ui.getByLabel('Instruction').fill('a red circle');
      await setNumbers({ Seed: 7, Steps: 30 });
      const untouched = scene.snapshot();
      const pageBefore = await render(scene, scene.page, area, area);

      await button('Run').click();
      await glimpse(ui, /Step \d+ of 30/);
      await button('Keep as layer').waitFor({ timeout: 60_000 });
      expect(scene.snapshot(), 'nothing is changed before it is kept').toBe(untouched);
      await button('Keep as layer').click();
      await button('Run').waitFor();

      const [, group, ...rest] = scene.get(card).children.map((id) => scene.get(id));
      expect(rest).toEqual([]);
      expect(group).toMatchObject({ type: 'GROUP', name: 'a red circle', layoutPositioning: 'ABSOLUTE' });
      const [mask, picture] = group!.children.map((id) => scene.get(id));
      expect(mask).toMatchObject({ type: 'RECTANGLE', isMask: true });
      expect(picture).toMatchObject({ type: 'RECTANGLE', isMask: false });
      // Around the shape, with room for a feather, and pixel on pixel.
      const box = scene.box(group!.id);
      expect(Number.isInteger(box.x) && Number.isInteger(box.y)).toBe(true);
      expect(box.x).toBeGreaterThan(100);
      expect(box.x).toBeLessThanOrEqual(140);
      expect(box.x + box.width).toBeGreaterThanOrEqual(210);
      expect(scene.get(shape).visible, 'the shape would cover the result').toBe(false);
      const recipe = JSON.parse(group!.pluginData.recipe!) as { sourceId: string; request: object };
      expect(recipe).toMatchObject({
        sourceId: photo,
        request: { instruction: 'a red circle', seed: 7, steps: 30 },
      });

      const pageAfter = await render(scene, scene.page, area, area);
      let changed = 0;
      for (let y = 0; y < area.height; y++) {
        for (let x = 0; x < area.width; x++) {
          const i = (y * area.width + x) * 4;
          const same = pageAfter.subarray(i, i + 4).equals(pageBefore.subarray(i, i + 4));
          const inside = ((x + 0.5 - 175) / 37) ** 2 + ((y + 0.5 - 130) / 32) ** 2 <= 1;
          if (!inside) expect(same, `pixel ${x}, ${y}`).toBe(true);
          else if (!same) changed++;
        }
      }
      expect(changed).toBeGreaterThan(2500);

      const withResult = scene.snapshot();
      expect(withResult).not.toBe(untouched);
      scene.undo();
      expect(scene.snapshot(), 'one undo').toBe(untouched);
      expect(realm.api).toBeInstanceOf(FigmaApi);
      expect(faults).toEqual([]);
    }, 180_000);

    test('without a mask the whole node is covered, and rerunning its recipe gives the same result', async () => {
      const { scene, photo, card } = await pictureAndShape();
      scene.get(card).layoutMode = 'NONE';
      scene.get(photo).relativeTransform = [
        [Math.SQRT1_2, -Math.SQRT1_2, 120],
        [Math.SQRT1_2, Math.SQRT1_2, 10],
      ];
      const { ui, button, ready, setNumbers, select } = await open(scene);
      await ready();
      select(photo);
      await ui.getByLabel('Instruction').fill('a blue square');
      await setNumbers({ Seed: 3, Steps: 2 });
      await button('Run').click();
      await button('Keep as layer').click({ timeout: 60_000 });
      await button('Run').waitFor();
      const first = scene.get(scene.get(card).children[1]!);
      expect(first).toMatchObject({ type: 'RECTANGLE', width: 200, height: 150, name: 'a blue square' });
      scene
        .absolute(first.id)
        .flat()
        .forEach((value, i) => {
          expect(value).toBeCloseTo(scene.absolute(photo).flat()[i]!, 9);
        });

      await ui.getByLabel('Instruction').fill('something else');
      select(first.id);
      await button('Run this result’s recipe again').waitFor();
      await button('Run this result’s recipe again').click();
      await button('Keep as layer').click({ timeout: 60_000 });
      await button('Run').waitFor();
      const second = scene.get(scene.get(card).children[1]!);
      expect(second.id).not.toBe(first.id);
      const hashes = [first, second].map(({ fills }) => fills[0]?.type === 'IMAGE' && fills[0].imageHash);
      expect(hashes[0]).toBe(hashes[1]);
    }, 120_000);

    test('a painted mask, two references of selected layers in the person’s order, variants side by side', async () => {
      const { scene, photo } = await pictureAndShape();
      const { ui, page, button, ready, setNumbers, select } = await open(scene);
      const [red, green] = (['Red', 'Green'] as const).map((name, i) =>
        scene.add(scene.page, 'RECTANGLE', {
          name,
          width: 40,
          height: 40,
          relativeTransform: [
            [1, 0, 500 + i * 60],
            [0, 1, 0],
          ],
          fills: [{ type: 'SOLID', color: { r: 1 - i, g: i, b: 0 } }],
        }),
      );
      await ready();
      select(photo);
      await button('Pin').click();
      select(red!, green!);
      await button('Add layer').click();
      await ui.getByText('{image2}', { exact: true }).waitFor();
      await button('Move Green up').click();
      await button('Paint').click();
      const canvas = ui.getByRole('application');
      const box = (await canvas.boundingBox())!;
      await page.mouse.move(box.x + box.width / 2 - 20, box.y + box.height / 2);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width / 2 + 20, box.y + box.height / 2, { steps: 5 });
      await page.mouse.up();
      await ui.getByLabel('Instruction').fill('put {image1} here');
      await setNumbers({ Seed: 7, Steps: 2, Variants: 2 });
      await button('Run').click();
      await button('Variant 2').waitFor({ timeout: 60_000 });
      const before = scene.snapshot();
      await button('Place all 2 side by side').click();
      await button('Run').waitFor();
      const placed = scene.get(scene.page).children.map((id) => scene.get(id));
      expect(placed.slice(-2).map(({ name }) => name)).toEqual([
        'put {image1} here · seed 7',
        'put {image1} here · seed 8',
      ]);
      const [one, two] = placed.slice(-2).map(({ id }) => scene.box(id));
      expect([one!.width, one!.height]).toEqual([200, 150]);
      expect(two!.x - one!.x).toBe(240);
      const recipe = JSON.parse(placed.at(-1)!.pluginData.recipe!) as { references: string[] };
      expect(recipe).toMatchObject({ references: [green, red], files: 0, lostMask: true });
      select(placed.at(-1)!.id);
      await button('Run this result’s recipe again').click();
      await ui.getByText('was made inside a mask').waitFor();
      scene.undo();
      expect(scene.snapshot()).toBe(before);
    }, 120_000);

    test('the keyboard alone paints a mask, runs and keeps', async () => {
      const { scene, card, photo } = await pictureAndShape();
      const { ui, page, button, ready, setNumbers, select } = await open(scene);
      await ready();
      select(photo);
      await setNumbers({ Steps: 2 });
      await ui.getByLabel('Instruction').fill('a green circle');
      await button('Paint').focus();
      await page.keyboard.press('Enter');
      await ui.getByRole('application').focus();
      for (const key of ['ArrowLeft', 'Enter', 'Shift+ArrowDown', 'Shift+ArrowDown'])
        await page.keyboard.press(key);
      await page.keyboard.press('Control+Enter');
      await button('Keep as layer').waitFor({ timeout: 60_000 });
      await page.keyboard.press('Control+Enter');
      await button('Run').waitFor();
      expect(scene.get(scene.get(card).children[1]!)).toMatchObject({
        type: 'GROUP',
        name: 'a green circle',
      });
    }, 120_000);

    test('it pairs with a token, Esc cancels, and a hidden layer is explained', async () => {
      const { scene, photo, shape } = await pictureAndShape();
      const one = await open(scene, { isPaired: false });
      const { ui, page, button, ready, setNumbers, select, storage } = one;
      await ui.getByText('Companion found, not paired yet').waitFor({ timeout: 20_000 });
      await ui.getByLabel('Code or token').fill('wrong-token');
      await button('Pair').click();
      await ui.getByRole('alert').first().waitFor();
      await ui.getByLabel('Code or token').fill(companion.token);
      await button('Pair').click();
      await ready();
      expect(storage.get('token')).toBe(companion.token);

      select(photo);
      await setNumbers({ Steps: 200 });
      await ui.getByLabel('Instruction').fill('a blue circle');
      await page.keyboard.press('Control+Enter');
      await glimpse(ui, /Step \d+ of 200/);
      await page.keyboard.press('Escape');
      await ui.getByText('Cancelled. Nothing changed.').waitFor();

      scene.get(shape).visible = false;
      select(shape);
      await ui.getByText('This layer is hidden or empty').first().waitFor();
      expect(await button('Run').isDisabled()).toBe(true);
      scene.get(shape).visible = true;
      scene.get(shape).relativeTransform = [
        [1, 0, 900],
        [0, 1, 900],
      ];
      select(shape);
      await button('Use as mask').click();
      select(photo);
      await button('Run').click();
      await ui.getByText('The mask does not lie over the layer that is edited.').waitFor();
    }, 120_000);

    test('closed during an edit, it offers the result when reopened', async () => {
      const { scene, card, photo } = await pictureAndShape();
      const first = await open(scene);
      await first.ready();
      first.select(photo);
      await first.ui.getByLabel('Instruction').fill('a red circle');
      await first.setNumbers({ Steps: 30 });
      await first.button('Run').click();
      await glimpse(first.ui, /Step \d+ of 30/);
      await first.close();

      const { storage } = first;
      // As the first version left it: it exported every layer, and kept nothing about the pixels of a fill.
      const [key, kept] = [...storage].find(([name]) => name.startsWith('edit:'))!;
      const pending = JSON.parse(String(kept)) as { target: string };
      const { grid: _, ...target } = JSON.parse(pending.target) as { grid: object };
      storage.set(key, JSON.stringify({ ...pending, target: JSON.stringify(target) }));
      const stranger = await open((await pictureAndShape()).scene, { storage });
      await stranger.ready();
      expect(await stranger.button('Keep as layer').count(), 'another file is not offered it').toBe(0);
      await stranger.close();
      const { button } = await open(scene, { storage });
      await button('Keep as layer').waitFor({ timeout: 60_000 });
      await button('Keep as layer').click();
      await button('Run').waitFor();
      const [, group] = scene.get(card).children.map((id) => scene.get(id));
      expect(group).toMatchObject({ name: 'a red circle', layoutPositioning: 'ABSOLUTE' });

      await opened.at(-1)!.close();
      const third = await open(scene, { storage });
      await third.ready();
      expect(await third.button('Keep as layer').count(), 'it is offered once').toBe(0);
    }, 120_000);

    // Figma refuses such an image: see "4096 pixels a side" in rejections.test.ts for the plugin that does
    // not know.
    test.each([
      ['upright, it lies in tiles', 0],
      ['turned, its tiles are cut to the outline of the layer', 90],
    ])(
      'a result over 4096 pixels, %s, and says so',
      async (_, degrees) => {
        const scene = new Scene();
        const angle = (degrees * Math.PI) / 180;
        const [cos, sin] = [Math.round(Math.cos(angle)), Math.round(Math.sin(angle))];
        const wide = scene.add(scene.page, 'RECTANGLE', {
          name: 'Banner',
          width: 1500,
          height: 40,
          relativeTransform: [
            [cos, -sin, 0],
            [sin, cos, 0],
          ],
          fills: [{ type: 'SOLID', color: { r: 0.2, g: 0.5, b: 0.4 } }],
        });
        const { ui, button, ready, setNumbers, select } = await open(scene);
        await ready();
        select(wide);
        await ui.getByText(degrees === 0 ? '4500 × 120' : '120 × 4500').waitFor();
        await ui.getByLabel('Instruction').fill('a red circle');
        await setNumbers({ Seed: 7, Steps: 1 });
        await button('Run').click();
        await button('Keep as layer').click({ timeout: 90_000 });
        await ui.getByText(/is a group of 2 tiles/).waitFor({ timeout: 30_000 });
        const result = scene.get(scene.get(scene.page).children[1]!);
        expect(result).toMatchObject({ type: 'GROUP', name: 'a red circle' });
        expect(scene.box(result.id)).toEqual(scene.box(wide));
        const parts = result.children.map((id) => scene.get(id));
        if (degrees !== 0) {
          const outline = parts.shift()!;
          expect(outline).toMatchObject({ isMask: true, width: 1500, height: 40 });
          expect(scene.absolute(outline.id)).toEqual(scene.absolute(wide));
        }
        // 64 of their pixels lie under the next one: two edges that only meet let through what is below them.
        const [first, second] = parts.map(({ id }) => scene.box(id));
        const shared = degrees === 0 ? first!.width + second!.width : first!.height + second!.height;
        expect(shared - 1500).toBeCloseTo(64 / 3, 6);
        expect(
          parts.map((part) => sizeOfFill(scene, part)).map(({ width, height }) => Math.max(width, height)),
        ).toEqual([2314, 2250]);
      },
      180_000,
    );

    test('a 4000x3000 photo in an 800x600 layer comes back at 4000x3000, exactly over it', async () => {
      const { scene, photo } = await photoIn({ width: 4000, height: 3000 }, { width: 800, height: 600 });
      const { ui, button, ready, setNumbers, select, faults } = await open(scene);
      await ready();
      select(photo);
      await ui.getByText('4000 × 3000').waitFor();
      await ui.getByLabel('Instruction').fill('a red circle');
      await setNumbers({ Seed: 7, Steps: 1 });
      await button('Run').click();
      await button('Keep as layer').click({ timeout: 90_000 });
      await button('Run').waitFor({ timeout: 30_000 });
      const result = scene.get(scene.get(scene.page).children[1]!);
      expect(result).toMatchObject({ type: 'RECTANGLE', width: 800, height: 600 });
      expect(scene.absolute(result.id)).toEqual(scene.absolute(photo));
      expect(sizeOfFill(scene, result)).toEqual({ width: 4000, height: 3000 });
      expect(placedPart(result)).toEqual([1, 0, 0, 0, 1, 0]);
      expect(faults).toEqual([]);
    }, 180_000);

    test('with a mask, on a photo cropped between pixels, every pixel outside the mask is unchanged', async () => {
      // 667 of 1001 columns are shown, from the middle of a pixel on.
      const { scene, photo } = await photoIn({ width: 1001, height: 668 }, { width: 200, height: 200 });
      const shape = scene.add(scene.page, 'ELLIPSE', {
        name: 'Blob',
        width: 50,
        height: 40,
        relativeTransform: [
          [1, 0, 110],
          [0, 1, 100],
        ],
        fills: [{ type: 'SOLID', color: { r: 0, g: 0, b: 1 } }],
      });
      const { ui, button, ready, setNumbers, select } = await open(scene);
      await ready();
      select(shape);
      await button('Use as mask').click();
      select(photo);
      await ui.getByText('669 × 668').waitFor();
      await ui.getByLabel('Instruction').fill('a red circle');
      await setNumbers({ Seed: 7, Steps: 2 });
      scene.get(shape).visible = false;
      const box = scene.box(photo);
      const size = { width: 668, height: 668 };
      const before = await render(scene, scene.page, box, size);
      scene.get(shape).visible = true;
      await button('Run').click();
      await button('Keep as layer').click({ timeout: 90_000 });
      await button('Run').waitFor({ timeout: 30_000 });
      const [mask, picture] = scene
        .get(scene.get(scene.page).children[1]!)
        .children.map((id) => scene.get(id));
      expect([mask!.isMask, picture!.isMask]).toEqual([true, false]);
      // Both have as many pixels as they cover of the photo's.
      for (const node of [mask!, picture!])
        expect(sizeOfFill(scene, node).width).toBeCloseTo((node.width * 668) / 200, 6);
      const after = await render(scene, scene.page, box, size);
      let changed = 0;
      for (let i = 0; i < size.width * size.height; i++) {
        if (before.subarray(i * 4, i * 4 + 4).equals(after.subarray(i * 4, i * 4 + 4))) continue;
        changed++;
        const [x, y] = [((i % 668) + 0.5) * (200 / 668), (Math.floor(i / 668) + 0.5) * (200 / 668)];
        // The shape's place on the photo, and its feather.
        expect(Math.hypot((x - 125) / 32, (y - 100) / 27), `${x}, ${y}`).toBeLessThan(1);
      }
      expect(changed).toBeGreaterThan(8000);
    }, 120_000);

    test('a mask over a rounded corner changes nothing outside the corner', async () => {
      const { scene, photo } = await photoIn({ width: 200, height: 200 }, { width: 100, height: 100 });
      scene.get(photo).radii = [40, 40, 40, 40];
      const shape = scene.add(scene.page, 'RECTANGLE', {
        width: 70,
        height: 70,
        fills: [{ type: 'SOLID', color: { r: 0, g: 0, b: 1 } }],
      });
      const { ui, button, ready, setNumbers, select } = await open(scene);
      await ready();
      select(shape);
      await button('Use as mask').click();
      select(photo);
      await ui.getByLabel('Instruction').fill('a red circle');
      await setNumbers({ Seed: 7, Steps: 1 });
      await button('Run').click();
      await button('Keep as layer').click({ timeout: 60_000 });
      await button('Run').waitFor({ timeout: 30_000 });
      const size = { width: 200, height: 200 };
      const shown = await render(scene, scene.page, scene.box(photo), size);
      const alphaAt = (x: number, y: number) => shown[(y * 200 + x) * 4 + 3];
      expect([alphaAt(2, 2), alphaAt(15, 15), alphaAt(40, 40)]).toEqual([0, 0, 255]);
    }, 60_000);

    test.each([
      [3, false],
      [3, true],
      [6, false],
      [6, true],
    ])(
      'a photo with EXIF orientation %d is exported, whether Figma applies it (%s) or not',
      async (orientation, followsOrientation) => {
        const { scene, photo } = await photoIn(
          { width: 120, height: 120 },
          { width: 60, height: 60 },
          orientation,
        );
        scene.followsOrientation = followsOrientation;
        const { ui, button, ready, select, realm } = await open(scene);
        await ready();
        select(photo);
        await ui.getByText('120 × 120').waitFor();
        scene.work.exports = 0;
        await button('Paint').click();
        await ui.getByRole('application').waitFor();
        expect(realm.api).toBeInstanceOf(FigmaApi);
        expect(scene.work.exports).toBe(1);
      },
      60_000,
    );

    test('nothing needs a secure context: a file becomes a reference in a panel without crypto.randomUUID', async () => {
      const { scene } = await pictureAndShape();
      const { ui, page, button, ready, faults } = await open(scene);
      await ready();
      const found = await page.frames()[1]!.evaluate(() => [isSecureContext, typeof crypto.randomUUID]);
      expect(found, 'as where Figma loads the panel from a data: URL').toEqual([false, 'undefined']);
      const [chooser] = await Promise.all([page.waitForEvent('filechooser'), button('Add…').click()]);
      const buffer = Buffer.from(await png(20, 20, () => [255, 0, 0, 255]));
      await chooser.setFiles({ name: 'red.png', mimeType: 'image/png', buffer });
      await ui.getByText('{image1}', { exact: true }).waitFor();
      expect(faults).toEqual([]);
    }, 60_000);

    test('5,000 selected layers are counted, but not exported as references', async () => {
      const { scene } = await pictureAndShape();
      const many = Array.from({ length: 5000 }, () => scene.add(scene.page, 'RECTANGLE', {}));
      const { ui, button, ready, select } = await open(scene);
      await ready();
      select(...many);
      await ui.getByText('Select one layer to edit').first().waitFor();
      await button('Add layer').click();
      await ui.getByText('5000 layers are selected, and there can be 9 references.').waitFor();
      expect(scene.work.exports).toBe(0);
    }, 60_000);

    // Must be last: it kills the companion.
    test('a lost companion is reported and found again', async () => {
      const { scene, photo } = await pictureAndShape();
      const { ui, button, ready, select } = await open(scene);
      await ready();
      select(photo);
      await companion.kill();
      await ui.getByText('Companion not running. Reconnecting…').waitFor({ timeout: 20_000 });
      expect(await ui.getByRole('alert').getAttribute('data-code')).toBe('companion-gone');
      await companion.restart();
      await ready();
      expect(await button('Run').isEnabled()).toBe(true);
    }, 60_000);
  },
);
