import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findChromium, launchBrowser } from '../browser/browser.ts';
import { IdentityCompanion } from './identity-companion.ts';
import { openPanel, type SimulatedPanel } from './panel.ts';
import type { LayerRecipe } from './simulator/scenes.ts';

const chromium = findChromium();
const patient = { timeout: 30_000 };

describe.skipIf(!chromium && !process.env.CI)('layers in simulated Photoshop', () => {
  let browser: Browser;
  let companion: IdentityCompanion;
  let panel: SimulatedPanel;
  beforeAll(async () => {
    if (!chromium) throw new Error('CI needs a Chromium: install one, or name it in CHROMIUM.');
    companion = new IdentityCompanion();
    [browser] = await Promise.all([launchBrowser(chromium), companion.listen()]);
  });
  beforeEach(async () => {
    companion.edits.clear();
    panel = await openPanel(browser, { companion: () => companion.url, token: 'any' });
    await panel.page.getByText(/^Ready/).waitFor();
    await panel.page.getByLabel('Instruction').fill('as it is');
  });
  afterEach(() => panel.close());
  afterAll(async () => {
    await browser?.close();
    await companion?.close();
  });

  const open = (layers: readonly LayerRecipe[]) =>
    panel.photoshop((controls, given) => {
      controls.openDocument({ width: 40, height: 30, layers: given });
      controls.select({ bounds: { left: 4, top: 3, right: 30, bottom: 25 } });
    }, layers);
  const runs = async (): Promise<void> => {
    const before = companion.edits.size;
    await panel.page.getByRole('button', { name: 'Run', exact: true }).click();
    await expect.poll(() => companion.edits.size, patient).toBe(before + 1);
    await expect
      .poll(() => panel.photoshop((controls) => controls.undoSteps().at(-1)), patient)
      .toBe('ACE++: as it is');
    await panel.page.getByRole('button', { name: 'Run', exact: true }).waitFor();
  };
  const sent = () => [...companion.edits.values()].at(-1)!.tensors;
  const names = (layers: readonly { name: string; children: readonly { name: string }[] }[]) =>
    layers.map(({ name, children }) =>
      children.length > 0 ? [name, children.map((child) => child.name)] : name,
    );
  const stack = () => panel.photoshop((controls) => controls.layers()).then(names);

  test('reading the composite never lists all layers', async () => {
    await open([{ name: 'top' }, { isBackground: true }]);
    companion.isHeld = true;
    await panel.photoshop((controls) => {
      controls.simulator.layerLists = 0;
    });
    await panel.page.getByRole('button', { name: 'Run', exact: true }).click();
    await expect.poll(() => companion.edits.size, patient).toBe(1);
    expect(await panel.photoshop((controls) => controls.simulator.layerLists)).toBe(0);
    companion.isHeld = false;
  });

  test('if nothing is visible, the composite is transparent, not an error', async () => {
    await open([{ name: 'small', bounds: { left: 0, top: 0, right: 2, bottom: 2 } }]);
    await panel.photoshop((controls) => controls.edit(controls.activeIDs()[0]!, { visible: false }));
    await runs();
    expect(
      sent()
        .get('edit')!
        .data.every((value) => value === 0),
    ).toBe(true);
  });

  test('a group is merged alone, whatever else is selected, and the selected layers are restored', async () => {
    await open([
      { name: 'other', bounds: { left: 0, top: 0, right: 40, bottom: 30 } },
      {
        name: 'group',
        locked: true,
        children: [
          { name: 'inside', locked: true, bounds: { left: 5, top: 5, right: 15, bottom: 12 } },
          { name: 'clipped', clipped: true, bounds: { left: 0, top: 0, right: 9, bottom: 30 } },
        ],
      },
      { isBackground: true },
    ]);
    const expected = await panel.photoshop((controls) => {
      controls.activate(0, 1);
      controls.simulator.rollbackForgets = true;
      controls.mark();
      return controls.activeIDs().map(controls.seenOf);
    });
    await panel.page.getByRole('button', { name: 'Add layer' }).click();
    await panel.page.getByText('{image2}', { exact: true }).waitFor();
    expect(await panel.photoshop((controls) => controls.isAsMarked())).toBe(true);
    await runs();
    for (const [i, seen] of expected.entries()) {
      const { bounds, data } = seen!;
      const reference = sent().get(`reference.${i}`)!;
      expect(reference.shape).toEqual([bounds.bottom - bounds.top, bounds.right - bounds.left, 4]);
      const isSame = [...reference.data].every(
        (value, at) => value === data[at] || data[at - (at % 4) + 3] === 0,
      );
      expect(isSame, `reference ${i}`).toBe(true);
    }
  });

  test('a layer hidden by its mask is reported, and a partly masked one is sent as it appears', async () => {
    await open([
      { name: 'hidden by its mask', mask: 'black' },
      { name: 'ramp', mask: 'ramp' },
      { isBackground: true },
    ]);
    await panel.page.getByRole('button', { name: 'Add layer' }).click();
    await panel.page.getByText('The layer “hidden by its mask” has no pixels').waitFor();
    const seen = await panel.photoshop((controls) => {
      controls.activate(1);
      return controls.seenOf(controls.activeIDs()[0]!);
    });
    await panel.page.getByRole('button', { name: 'Add layer' }).click();
    await panel.page.getByText('{image1}', { exact: true }).waitFor();
    await runs();
    expect([...sent().get('reference.0')!.data]).toEqual(seen!.data);
    // A fully hidden layer leaves nothing to edit, but doesn't fail if there is a selection.
    await panel.photoshop((controls) => controls.activate(0));
    await panel.page.getByRole('button', { name: 'Selected layer' }).click();
    await runs();
    expect(
      sent()
        .get('edit')!
        .data.every((value) => value === 0),
    ).toBe(true);
  });

  const inGroup = (group: Partial<LayerRecipe>): LayerRecipe[] => [
    { name: 'group', ...group, children: [{ name: 'inside' }] },
    { name: 'base' },
    { isBackground: true, name: 'back' },
  ];
  test.each<[string, LayerRecipe[], unknown[]]>([
    [
      'a locked group: above it',
      inGroup({ locked: true }),
      ['as it is', ['group', ['inside']], 'base', 'back'],
    ],
    [
      'a masked group: above it',
      inGroup({ mask: 'ramp' }),
      ['as it is', ['group', ['inside']], 'base', 'back'],
    ],
    [
      'a hidden group: above it',
      inGroup({ visible: false }),
      ['as it is', ['group', ['inside']], 'base', 'back'],
    ],
    [
      'a clipped group: above it',
      inGroup({ clipped: true }),
      ['as it is', ['group', ['inside']], 'base', 'back'],
    ],
    ['a plain group: in it', inGroup({}), [['group', ['as it is', 'inside']], 'base', 'back']],
    [
      'a group that others are clipped to: above these',
      [{ name: 'clipped', clipped: true }, ...inGroup({})],
      ['as it is', 'clipped', ['group', ['inside']], 'base', 'back'],
    ],
  ])('a result that comes from a layer in %s, not clipped, and one undo removes it', async (_, layers, expected) => {
    await open(layers);
    const mark = () =>
      panel.photoshop((controls) => {
        const { state } = controls.simulator.active!;
        const group = state.layers.find(({ children }) => children.length > 0)!;
        state.active = [group.children[0]!.id];
        controls.mark();
      });
    await mark();
    await runs();
    expect(await stack()).toEqual(expected);
    const found = await panel.photoshop((controls) => {
      const [id] = controls.activeIDs();
      return [controls.stateOf(id!).clipped, controls.isPlain(id!), controls.undo(), controls.isAsMarked()];
    });
    expect(found).toEqual([false, true, 'ACE++: as it is', true]);
  });

  test.each([
    ['clipped itself', 0, ['as it is', 'clipped', 'base', 'back']],
    ['one that others are clipped to', 1, ['as it is', 'clipped', 'base', 'back']],
  ])('a result of a layer that is %s is not clipped', async (_, active, expected) => {
    await open([{ name: 'clipped', clipped: true }, { name: 'base' }, { isBackground: true, name: 'back' }]);
    await panel.photoshop((controls, place) => controls.activate(place as number), active);
    await runs();
    expect(await stack()).toEqual(expected);
    expect(await panel.photoshop((controls) => controls.stateOf(controls.activeIDs()[0]!).clipped)).toBe(
      false,
    );
  });

  test('a Photoshop that only writes into an existing mask gets one first', async () => {
    await open([{ isBackground: true }]);
    await panel.photoshop((controls) => {
      controls.simulator.masksMustExist = true;
      controls.mark();
    });
    await runs();
    expect(await panel.photoshop((controls) => controls.compare())).toMatchObject({
      changedOutside: 0,
      largest: 0,
      largestOfMask: 0,
    });
  });

  describe('the mask of an edit', () => {
    const painted = { bounds: { left: 10, top: 8, right: 26, bottom: 20 }, feather: 3 };
    const earlier = { bounds: { left: 0, top: 0, right: 7, bottom: 6 }, feather: 2 };
    /** The sent mask over the whole canvas, which is small enough to be sent whole. */
    const mask = () => [...sent().get('mask')!.data];
    const asSelection = async (): Promise<number[]> => {
      await panel.photoshop((controls, recipe) => controls.select(recipe), painted);
      await runs();
      return mask();
    };
    const choose = (label: string) =>
      panel.page.getByRole('combobox', { name: 'Mask' }).selectOption({ label });

    test('can be a saved selection; the earlier selection is restored', async () => {
      await open([{ isBackground: true }]);
      const expected = await asSelection();
      await panel.photoshop(
        (controls, [saved, selected]) => {
          controls.undo();
          controls.saveSelection('the cup', saved!);
          controls.select(selected);
          controls.simulator.rollbackForgets = true;
          controls.mark();
        },
        [painted, earlier],
      );
      await choose('the cup');
      await runs();
      expect(mask()).toEqual(expected);
      const found = await panel.photoshop((controls) => [
        controls.undoSteps(),
        controls.undo(),
        controls.isAsMarked(),
      ]);
      expect(found).toEqual([['ACE++: as it is'], 'ACE++: as it is', true]);
    });

    test('can be an empty saved selection: the earlier selection is restored after the error', async () => {
      await open([{ isBackground: true }]);
      await panel.photoshop(
        (controls, [nothing, selected]) => {
          controls.saveSelection('empty', nothing!);
          controls.select(selected);
          controls.simulator.rollbackForgets = true;
          controls.mark();
        },
        [{ bounds: { left: 5, top: 5, right: 5, bottom: 5 } }, earlier],
      );
      await choose('empty');
      await panel.page.getByRole('button', { name: 'Run', exact: true }).click();
      await panel.page.getByText('The saved selection “empty” selects nothing').waitFor();
      expect(await panel.photoshop((controls) => controls.isAsMarked())).toBe(true);
    });

    test('can be the selected layer’s, also if several are selected', async () => {
      await open([{ name: 'ramp', mask: 'ramp' }, { name: 'other' }, { isBackground: true }]);
      await panel.photoshop((controls, selected) => {
        controls.select(selected);
        controls.activate(0, 1);
        controls.mark();
      }, earlier);
      await choose('This layer’s mask');
      await runs();
      expect(mask().slice(0, 40)).toEqual(Array.from({ length: 40 }, (_, x) => Math.round((x / 39) * 255)));
      await panel.photoshop((controls) => controls.activate(2));
      await panel.page.getByRole('button', { name: 'Run', exact: true }).click();
      await panel.page.getByText('The layer “other” has no mask').waitFor();
      expect(await panel.photoshop((controls) => controls.undoSteps())).toHaveLength(1);
    });

    test('is the quick mask in Quick Mask mode, which continues with the same mask', async () => {
      await open([{ isBackground: true }]);
      const expected = await asSelection();
      await panel.photoshop((controls, recipe) => {
        controls.undo();
        controls.quickMask(recipe);
      }, painted);
      await panel.page.getByText('Quick mask, 40 × 30').waitFor();
      const quickMask = () =>
        panel.photoshop((controls) => {
          const plane = controls.simulator.active!.quickMask;
          return plane && { ...plane, data: [...plane.data] };
        });
      const before = await quickMask();
      const steps = await panel.photoshop((controls) => controls.undoSteps().length);
      await panel.page.getByRole('button', { name: 'Run', exact: true }).click();
      await expect.poll(() => companion.edits.size, patient).toBe(2);
      expect(mask()).toEqual(expected);
      await expect
        .poll(() => panel.photoshop((controls) => controls.undoSteps()), patient)
        .toEqual(['Read the quick mask', 'ACE++: as it is']);
      expect(steps).toBe(0);
      expect(await quickMask()).toEqual(before);
    });
  });
});
