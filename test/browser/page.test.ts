import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { initializeCanvas, readPsd } from 'ag-psd';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../server/disk/paths.ts';
import { installAdapted } from '../server/adapted.ts';
import { type Companion, findChromium, glimpse, launchBrowser, startCompanion } from './browser.ts';

const chromium = findChromium();
if (!chromium && !process.env.CI)
  console.warn('No Chromium here (set CHROMIUM): the tests of the page are skipped.');

// The reader of PSD files makes its images through this; it is used without a canvas here.
initializeCanvas(
  () => {
    throw new Error('no canvas is needed');
  },
  (width, height) => ({ width, height, data: new Uint8ClampedArray(width * height * 4), colorSpace: 'srgb' }),
);

const artifacts = path.join(projectRoot, 'test/artifacts');
const schemes = ['light', 'dark'] as const;

/** A picture with something different in every pixel, so that a shift by one or a rounding would show. */
const size = { width: 320, height: 240 };
const pixels = Buffer.alloc(size.width * size.height * 3);
for (let i = 0; i < size.width * size.height; i++) {
  const [x, y] = [i % size.width, Math.floor(i / size.width)];
  pixels.set([(x * 7 + y) % 256, (y * 5 + x * 3) % 256, (x ^ y) % 256], i * 3);
}

describe.skipIf(!chromium && !process.env.CI)(
  'the page, in a real browser against the real companion',
  () => {
    let browser: Browser;
    let companion: Companion;
    let picture: Buffer;
    let reference: Buffer;

    beforeAll(async () => {
      if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
      await mkdir(artifacts, { recursive: true });
      picture = await sharp(pixels, { raw: { ...size, channels: 3 } })
        .png()
        .toBuffer();
      reference = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c02020' } })
        .png()
        .toBuffer();
      [browser, companion] = await Promise.all([launchBrowser(chromium), startCompanion()]);
    });
    afterAll(async () => {
      await browser?.close();
      await companion?.stop();
    });

    async function openPage(scheme: (typeof schemes)[number] = 'light', link = companion.link) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        colorScheme: scheme,
        acceptDownloads: true,
      });
      const page = await context.newPage();
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => {
        if (/Content Security Policy/i.test(message.text())) faults.push(message.text());
      });
      await page.goto(link);
      return {
        page,
        faults,
        shot: (name: string) => page.screenshot({ path: path.join(artifacts, `${name}-${scheme}.png`) }),
        close: () => context.close(),
      };
    }

    async function openPicture(page: Page): Promise<void> {
      const chooser = page.waitForEvent('filechooser');
      await page.getByRole('button', { name: 'Open a picture' }).click();
      await (await chooser).setFiles({ name: 'photo.png', mimeType: 'image/png', buffer: picture });
      await page.getByRole('application').waitFor();
    }

    async function addReference(page: Page): Promise<void> {
      const chooser = page.waitForEvent('filechooser');
      await page.getByRole('button', { name: 'Add…' }).click();
      await (await chooser).setFiles({ name: 'red.png', mimeType: 'image/png', buffer: reference });
      await page.getByText('{image1}', { exact: true }).waitFor();
    }

    /** Paints a short stroke in the middle of the picture. */
    async function paint(page: Page): Promise<void> {
      const box = (await page.getByRole('application').boundingBox())!;
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      await page.mouse.move(x - 20, y);
      await page.mouse.down();
      await page.mouse.move(x + 20, y + 10, { steps: 8 });
      await page.mouse.up();
    }

    async function setSteps(page: Page, steps: number): Promise<void> {
      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByLabel('Seed').fill('7');
      await page.getByLabel('Steps').fill(String(steps));
      await page.getByLabel('Steps').press('Tab');
      await page.getByRole('button', { name: 'Advanced' }).click();
    }

    const run = (page: Page) => page.getByRole('button', { name: 'Run', exact: true });

    async function downloaded(page: Page, button: string): Promise<Buffer> {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: button, exact: true }).click(),
      ]);
      return readFile((await download.path())!);
    }

    test.each(
      schemes,
    )('a person opens, paints, runs, watches, compares, keeps and saves (%s)', async (scheme) => {
      const { page, faults, shot, close } = await openPage(scheme);
      await page.getByText(/^Ready/).waitFor();
      expect(page.url()).toBe(`${companion.origin}/`);
      await shot('1-empty');
      await openPicture(page);
      await paint(page);
      await addReference(page);
      await page.getByLabel('Instruction').fill('put {image2} here');
      await page.getByText('The instruction names {image2}, but there is only one reference.').waitFor();
      await page.getByLabel('Instruction').fill('put {image1} here');
      await setSteps(page, 30);
      await shot('2-painted');

      await run(page).click();
      await glimpse(page, /Step [1-9]\d? of 30/);
      await shot('3-running');
      await page.getByRole('button', { name: 'Keep as layer' }).waitFor({ timeout: 240_000 });
      await shot('4-done');
      await page.getByLabel(/^Compare/).fill('50');
      await shot('5-compare');
      await page.getByLabel(/^Compare/).fill('0');
      await page.getByRole('button', { name: 'Keep as layer' }).click();
      await page.getByLabel('Hide put {image1} here').waitFor();
      await shot('6-kept');

      const psd = readPsd(await downloaded(page, 'Save as PSD'), { useImageData: true });
      expect(psd).toMatchObject(size);
      expect(psd.children?.map(({ name }) => name)).toEqual(['Picture', 'put {image1} here']);
      const [below, layer] = psd.children!;
      expect(rgb(below!.imageData!.data as Uint8ClampedArray)).toEqual(pixels);
      const { left, top, right, bottom, mask } = layer!;
      expect(mask).toMatchObject({ left, top, right, bottom, defaultColor: 0 });
      // The stroke lies in the middle, 60 pixels thick and 40 long: so does the layer, with room for a
      // feather.
      expect(left! + right!).toBeGreaterThan(size.width - 40);
      expect(left! + right!).toBeLessThan(size.width + 40);
      expect(right! - left!).toBeGreaterThanOrEqual(90);
      expect(right! - left!).toBeLessThan(180);
      const alpha = (x: number, y: number): number =>
        mask!.imageData!.data[((y - top!) * (right! - left!) + x - left!) * 4]!;
      expect(alpha(size.width / 2, size.height / 2)).toBe(255);
      expect(alpha(left!, top!)).toBe(0);

      const flat = await sharp(await downloaded(page, 'Save as PNG'))
        .removeAlpha()
        .raw()
        .toBuffer();
      let changed = 0;
      for (let y = 0; y < size.height; y++) {
        for (let x = 0; x < size.width; x++) {
          const i = (y * size.width + x) * 3;
          const same = flat.subarray(i, i + 3).equals(pixels.subarray(i, i + 3));
          const inside = x >= left! && x < right! && y >= top! && y < bottom! && alpha(x, y) > 0;
          if (!inside) expect(same, `pixel ${x}, ${y}`).toBe(true);
          else if (!same) changed++;
        }
      }
      expect(changed).toBeGreaterThan(500);

      await page.keyboard.press('Control+z');
      await page.getByText('Results that you keep are listed here.').waitFor();
      await page.keyboard.press('Control+Shift+z');
      await page.getByLabel('Hide put {image1} here').click();
      await page.getByLabel('Show put {image1} here').waitFor();
      expect(faults).toEqual([]);
      await close();
    }, 180_000);

    test('the preview is drawn into the picture while the edit runs', async () => {
      const { page, close } = await openPage();
      await openPicture(page);
      await paint(page);
      await page.getByLabel('Instruction').fill('a red circle');
      await setSteps(page, 30);
      const middle = () =>
        page.getByRole('application').evaluate((element) => {
          const canvas = element as HTMLCanvasElement;
          const { data } = canvas.getContext('2d')!.getImageData(canvas.width / 2, canvas.height / 2, 1, 1);
          return [...data].join();
        });
      const before = await middle();
      await run(page).click();
      await glimpse(page, /Step \d+ of 30/);
      await expect.poll(middle, { interval: 40 }).not.toBe(before);
      expect(await page.getByRole('button', { name: 'Cancel' }).isVisible()).toBe(true);
      await close();
    }, 120_000);

    test('Esc undoes the stroke in progress; the middle button pans, the wheel zooms', async () => {
      const { page, faults, close } = await openPage();
      await openPicture(page);
      const box = (await page.getByRole('application').boundingBox())!;
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      const clear = page.getByRole('button', { name: 'Clear' });
      const stroke = async (end: () => Promise<void>): Promise<void> => {
        await page.mouse.move(x - 20, y);
        await page.mouse.down();
        await page.mouse.move(x + 20, y + 10, { steps: 4 });
        await end();
        await page.mouse.up();
      };
      await stroke(() => page.keyboard.press('Escape'));
      expect(await clear.isEnabled()).toBe(false);
      await page.mouse.move(x, y);
      await page.mouse.down({ button: 'middle' });
      await page.mouse.move(x + 60, y, { steps: 4 });
      await page.mouse.up({ button: 'middle' });
      await page.mouse.wheel(0, -200);
      expect(await clear.isEnabled()).toBe(false);
      await stroke(async () => {});
      expect(await clear.isEnabled()).toBe(true);
      expect(faults).toEqual([]);
      await close();
    }, 60_000);

    test('Esc cancels the edit: nothing changes, and the next one can start', async () => {
      const { page, shot, close } = await openPage();
      await openPicture(page);
      await paint(page);
      await page.getByLabel('Instruction').fill('a blue circle');
      await setSteps(page, 200);
      await page.keyboard.press('Control+Enter');
      await glimpse(page, /Step \d+ of 200/);
      await page.keyboard.press('Escape');
      await page.getByText('Cancelled. Nothing changed.').waitFor();
      await shot('7-cancelled');
      expect(await run(page).isEnabled()).toBe(true);
      await expect
        .poll(
          async () => {
            const answer = await fetch(`${companion.origin}/v1/edits`, {
              headers: { Authorization: `Bearer ${companion.token}` },
            });
            return JSON.stringify(await answer.json());
          },
          { timeout: 10_000 },
        )
        .not.toMatch(/"running"|"queued"/);
      await close();
    }, 120_000);

    test.each(schemes)('a wrong token is explained, with what to do (%s)', async (scheme) => {
      const { page, shot, close } = await openPage(scheme, `${companion.origin}/#token=wrong`);
      const note = page.getByRole('alert');
      await note.waitFor();
      expect(await note.getAttribute('data-code')).toBe('token-wrong');
      expect(await note.innerText()).toMatch(/link/i);
      expect(await run(page).isDisabled()).toBe(true);
      await shot('8-wrong-token');
      await close();
    });

    test('the sample opens with one click: picture, mask, reference and instruction', async () => {
      const { page, faults, shot, close } = await openPage('dark');
      await page.getByRole('button', { name: 'Try the sample' }).click();
      await page.getByRole('application').waitFor();
      await page.getByText('{image1}', { exact: true }).waitFor();
      expect(await page.getByLabel('Instruction').inputValue()).toContain('{image1}');
      expect(await page.getByRole('button', { name: 'Clear' }).isEnabled()).toBe(true);
      await shot('9-sample');
      await setSteps(page, 12);
      await run(page).click();
      await page.getByRole('button', { name: 'Keep as layer' }).click({ timeout: 240_000 });
      await page.getByLabel('Hide put {image1} here').waitFor();
      await shot('13-sample-done');
      expect(faults).toEqual([]);
      await close();
    });

    /** Passes a file to the page like a drop or a paste. */
    const transfer = (page: Page, kind: 'drop' | 'paste', target: string, file: Buffer) =>
      page.locator(target).evaluate(
        (element, [type, base64]) => {
          const data = new DataTransfer();
          const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
          data.items.add(new File([bytes], 'given.png', { type: 'image/png' }));
          const options = { bubbles: true, cancelable: true };
          element.dispatchEvent(
            type === 'drop'
              ? new DragEvent('drop', { ...options, dataTransfer: data })
              : new ClipboardEvent('paste', { ...options, clipboardData: data }),
          );
        },
        [kind, file.toString('base64')] as const,
      );

    test('a picture is pasted, a reference dropped on the panel, and one of two variants kept; leaving asks first', async () => {
      const { page, shot, close } = await openPage('dark');
      await page.getByText(/^Ready/).waitFor();
      await transfer(page, 'paste', 'body', picture);
      await page.getByRole('application').waitFor();
      await transfer(page, 'drop', 'aside', reference);
      await page.getByText('{image1}', { exact: true }).waitFor();
      await paint(page);
      await page.getByLabel('Instruction').fill('put {image1} here');
      await setSteps(page, 2);
      await page.getByRole('button', { name: 'Advanced' }).click();
      await page.getByLabel('Variants').fill('2');
      await page.getByLabel('Variants').press('Tab');
      await run(page).click();
      const second = page.getByRole('button', { name: 'Variant 2' });
      await second.waitFor({ timeout: 240_000 });
      expect(await page.getByText(/^Seed 7, 2 steps/).isVisible()).toBe(true);
      await second.click();
      await page.getByText(/^Seed 8, 2 steps/).waitFor();
      await shot('12-variants');
      await page.getByRole('button', { name: 'Keep as layer' }).click();
      await page.getByLabel('Hide put {image1} here').waitFor();
      const asked = page.waitForEvent('dialog');
      const closing = page.close({ runBeforeUnload: true });
      const dialog = await asked;
      expect(dialog.type()).toBe('beforeunload');
      await dialog.accept();
      await closing;
      await close();
    }, 120_000);

    test('the keyboard alone paints, runs and keeps', async () => {
      const { page, shot, close } = await openPage();
      await page.getByText(/^Ready/).waitFor();
      await tabTo(page, 'Try the sample');
      await page.keyboard.press('Enter');
      await page.getByRole('application').focus();
      for (const key of ['ArrowLeft', 'ArrowLeft', 'Enter', 'ArrowDown', 'Enter'])
        await page.keyboard.press(key);
      expect(await page.getByRole('button', { name: 'Undo' }).isEnabled()).toBe(true);
      await shot('10-keyboard');
      await tabTo(page, 'Instruction');
      await page.keyboard.press('Control+a');
      await page.keyboard.type('a green circle');
      await tabTo(page, 'Advanced');
      await page.keyboard.press('Enter');
      await tabTo(page, 'Steps');
      await page.keyboard.type('2');
      // The panel looks after the companion meanwhile, and is drawn anew; what is being typed stays.
      await page.waitForResponse(/\/v1\/models$/);
      await page.waitForResponse(/\/v1\/models$/);
      expect(await page.getByLabel('Steps').inputValue()).toBe('2');
      await page.keyboard.press('Control+Enter');
      await page.getByRole('button', { name: 'Keep as layer' }).waitFor({ timeout: 240_000 });
      expect(await page.getByText(/, 2 steps/).isVisible()).toBe(true);
      await tabTo(page, 'Keep as layer');
      await page.keyboard.press('Enter');
      await page.getByLabel('Hide a green circle').waitFor();
      // The bar with the button is gone; the focus moved to Run rather than getting lost.
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Run');
      await close();
    }, 120_000);

    test.each(
      schemes,
    )('a model that was installed meanwhile is chosen, with its adapter (%s)', async (scheme) => {
      const { page, shot, close } = await openPage(scheme);
      await openPicture(page);
      await paint(page);
      await page.getByLabel('Instruction').fill('a red circle');
      await setSteps(page, 2);
      await page.getByRole('button', { name: 'Advanced' }).click();
      if (scheme === 'light') expect(await page.getByLabel('Model').count()).toBe(0);
      await installAdapted(companion.home, 'portrait');
      await page.getByLabel('Model').selectOption('adapted', { timeout: 15_000 });
      await page.getByLabel('Adapter').selectOption('portrait');
      await shot('14-models');
      await run(page).click();
      await page.getByRole('button', { name: 'Keep as layer' }).waitFor({ timeout: 240_000 });
      const headers = { Authorization: `Bearer ${companion.token}` };
      const answer = await fetch(`${companion.origin}/v1/edits`, { headers });
      const { edits } = (await answer.json()) as { edits: { results: unknown[] }[] };
      expect(edits[0]!.results).toMatchObject([
        { model: 'adapted', adapters: [{ name: 'portrait', scale: 1 }] },
      ]);
      await close();
    });

    // Must be last: it kills the companion.
    test.each(schemes)('a lost companion is reported and found again (%s)', async (scheme) => {
      const { page, shot, close } = await openPage(scheme);
      await page.getByText(/^Ready/).waitFor();
      await openPicture(page);
      await companion.kill();
      await page.getByText('Companion not running. Reconnecting…').waitFor({ timeout: 15_000 });
      const note = page.getByRole('alert');
      expect(await note.getAttribute('data-code')).toBe('companion-gone');
      expect(await note.innerText()).toContain('npm start');
      await shot('11-gone');
      await companion.restart();
      await page.getByText(/^Ready/).waitFor({ timeout: 15_000 });
      expect(await run(page).isEnabled()).toBe(true);
      await close();
    });
  },
);

function rgb(rgba: Uint8ClampedArray): Buffer {
  const opaque = Buffer.alloc((rgba.length / 4) * 3);
  for (let i = 0; i < rgba.length / 4; i++) opaque.set(rgba.subarray(i * 4, i * 4 + 3), i * 3);
  return opaque;
}

/** Presses Tab until the element with this name has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let presses = 0; presses < 60; presses++) {
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return '';
      return element.getAttribute('aria-label') ?? element.textContent ?? '';
    });
    if (focused.includes(name)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab never reached "${name}".`);
}
