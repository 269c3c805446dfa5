import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CapturedNode } from '../../plugins/figma/protocol.ts';
import type { Bounds } from '../../shared/bounds.ts';
import { type Built, built, drive, node, png, putImage, random } from './driver.ts';
import { decodeImage, render } from './simulator/render.ts';
import { type NodeState, type Paint, Scene, type Transform } from './simulator/scene.ts';

/*
 * In which pixels a node is captured. For every rule the captured picture is compared with what the simulator
 * shows of the node: where a defence is missing, the fill's file is taken for a picture that it is not.
 */

let plugin: Built;
beforeAll(async () => {
  plugin = await built();
});
afterAll(() => plugin.remove());

/** A photo in which no two neighbouring pixels are alike. */
const photoSize = { width: 400, height: 300 };
const whole: Bounds = { left: 0, top: 0, ...photoSize };
const colourAt = (x: number, y: number) => [(x * 37) % 256, (y * 53) % 256, (x + y * 3) % 256, 255] as const;

async function photo(looks: Partial<NodeState>, fill: Partial<Paint> = {}, size = photoSize) {
  const scene = new Scene();
  const imageHash = putImage(scene, await png(size.width, size.height, colourAt));
  const paint = { type: 'IMAGE', imageHash, scaleMode: 'FILL', ...fill } as Paint;
  const id = scene.add(scene.page, 'RECTANGLE', {
    name: 'Photo',
    width: 80,
    height: 60,
    relativeTransform: at(10, 20),
    fills: [paint],
    ...looks,
  });
  return { scene, id, imageHash };
}

function at(x: number, y: number): Transform {
  return [
    [1, 0, x],
    [0, 1, y],
  ];
}

async function capture({ scene, id }: { scene: Scene; id: string }): Promise<CapturedNode> {
  const { sandbox } = drive(plugin.main, scene);
  return sandbox.call('capture', node(id));
}

function isSame(file: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && Buffer.compare(file, other) === 0;
}

/** How many of some points of the node a captured fill has in another colour than they are shown in. */
async function differences(scene: Scene, id: string, file: Uint8Array, part: Bounds): Promise<number> {
  const { x, y, width, height } = scene.box(id);
  // A prime, so that no point falls between two pixels.
  const side = 37;
  const shown = await render(scene, id, { x, y, width, height }, { width: side, height: side });
  const { data, width: columns, height: rows } = await decodeImage(file, scene.followsOrientation);
  let count = 0;
  for (let i = 0; i < side * side; i++) {
    const [u, v] = [((i % side) + 0.5) / side, (Math.floor(i / side) + 0.5) / side];
    const column = Math.min(columns - 1, Math.max(0, Math.floor(part.left + u * part.width)));
    const row = Math.min(rows - 1, Math.max(0, Math.floor(part.top + v * part.height)));
    const from = (row * columns + column) * 4;
    if (!data.subarray(from, from + 4).equals(shown.subarray(i * 4, i * 4 + 4))) count++;
  }
  return count;
}

describe('the fill’s own pixels are captured if the node shows them as they are (simulated)', () => {
  test.each([
    ['FILL, of the same shape', {}, { scaleMode: 'FILL' }, whole],
    ['FIT, of the same shape', {}, { scaleMode: 'FIT' }, whole],
    ['FILL, cut at the sides', { width: 60 }, {}, { left: 50, top: 0, width: 300, height: 300 }],
    ['FILL, cut above and below', { height: 45 }, {}, { left: 0, top: 37.5, width: 400, height: 225 }],
    ['CROP', {}, crop(0.25, 0.5, 0.5, 0.5), { left: 100, top: 150, width: 200, height: 150 }],
    ['CROP between pixels', {}, crop(0.2503, 0.1007, 0.5, 0.5), undefined],
    ['CROP without a transform', {}, { scaleMode: 'CROP' }, whole],
    ['smaller than its node', { width: 800, height: 600 }, {}, whole],
    ['in a frame without children', { type: 'FRAME' }, {}, whole],
    ['with filters at zero', {}, { filters: { exposure: 0, contrast: 0 } }, whole],
  ] as const)('%s', async (_, looks, fill, shown) => {
    const given = await photo(looks as Partial<NodeState>, fill as Partial<Paint>);
    const captured = await capture(given);
    expect(isSame(captured.picture.file, given.scene.images.get(given.imageHash)), 'the very file').toBe(
      true,
    );
    expect(captured.picture.fill?.size).toEqual(photoSize);
    if (shown) {
      for (const side of ['left', 'top', 'width', 'height'] as const)
        expect(captured.picture.fill?.shown[side], side).toBeCloseTo(shown[side], 6);
    }
    const { file, fill: taken } = captured.picture;
    expect(await differences(given.scene, given.id, file, taken!.shown)).toBe(0);
    expect(given.scene.work.exports, 'nothing is exported').toBe(0);
  });

  test('a hidden fill, a shadow and rounded corners change none of its pixels', async () => {
    const { scene, id, imageHash } = await photo({ effectReach: 8, radii: [9, 0, 4, 0] });
    const [paint] = scene.get(id).fills;
    const hidden: Paint = { type: 'SOLID', color: { r: 1, g: 0, b: 0 }, visible: false };
    scene.get(id).fills = [paint!, hidden];
    const captured = await capture({ scene, id });
    expect(isSame(captured.picture.file, scene.images.get(imageHash))).toBe(true);
    expect(captured.source.radii).toEqual([9, 0, 4, 0]);
  });

  test('a 4000x3000 photo in an 800x600 node measures 4000x3000, before and after capture', async () => {
    const size = { width: 4000, height: 3000 };
    const given = await photo({ width: 800, height: 600 }, {}, size);
    const { sandbox } = drive(plugin.main, given.scene);
    expect(await sandbox.call('measure', given.id)).toEqual(size);
    expect((await sandbox.call('capture', node(given.id))).picture.fill).toEqual({
      size,
      shown: { left: 0, top: 0, ...size },
    });
  });

  test('in random crops every point has the colour shown', async () => {
    const next = random(7);
    for (let i = 0; i < 20; i++) {
      const side = 0.2 + next() * 0.5;
      const fill = crop(next() * (1 - side), next() * (1 - side), side, side);
      const given = await photo({}, fill as Partial<Paint>);
      const captured = await capture(given);
      const { file, fill: taken } = captured.picture;
      expect(await differences(given.scene, given.id, file, taken!.shown), `crop ${i}`).toBe(0);
    }
  });
});

function crop(x: number, y: number, width: number, height: number) {
  const imageTransform = [
    [width, 0, x],
    [0, height, y],
  ];
  return { scaleMode: 'CROP', imageTransform };
}

describe('everything else is exported at three times its size (simulated)', () => {
  const red: Paint = { type: 'SOLID', color: { r: 1, g: 0, b: 0 }, opacity: 0.5 };
  const turn = [
    [Math.SQRT1_2, -Math.SQRT1_2, 60],
    [Math.SQRT1_2, Math.SQRT1_2, 10],
  ] as const;
  const flip = [
    [-1, 0, 90],
    [0, 1, 20],
  ] as const;

  test.each([
    ['FIT with bands beside it', { width: 120 }, { scaleMode: 'FIT' }],
    ['TILE', {}, { scaleMode: 'TILE', scalingFactor: 0.1 }],
    ['a crop that reaches beyond the image', {}, crop(0.7, 0.5, 0.5, 0.5)],
    ['a crop that is stretched', {}, crop(0, 0, 1, 0.5)],
    ['a crop that is mirrored', {}, crop(1, 0, -1, 1)],
    [
      'a crop that is turned',
      {},
      {
        scaleMode: 'CROP',
        imageTransform: [
          [0.5, 0.1, 0.2],
          [-0.1, 0.5, 0.3],
        ],
      },
    ],
    ['a fill turned by 90', {}, { rotation: 90 }],
    ['a fill turned by 180', {}, { rotation: 180 }],
    ['filters', {}, { filters: { exposure: 0.5 } }],
    ['a fill that is half transparent', {}, { opacity: 0.5 }],
    ['a node that is half transparent', { opacity: 0.5 }, {}],
    ['a stroke', { strokeWeight: 6 }, {}],
    ['an inner shadow', { hasInnerShadow: true }, {}],
    ['another outline', { type: 'ELLIPSE' }, {}],
    ['a node that is turned', { relativeTransform: turn }, {}],
    ['a node that is mirrored', { relativeTransform: flip }, {}],
  ] as const)('%s', async (_, looks, fill) => {
    const given = await photo(looks as Partial<NodeState>, fill as Partial<Paint>);
    const captured = await capture(given);
    expect(captured.picture.fill).toBeUndefined();
    const { width } = await sharp(captured.picture.file).metadata();
    expect(width).toBe(Math.round(captured.source.bounds.width * 3));
    const file = given.scene.images.get(given.imageHash)!;
    expect(await differences(given.scene, given.id, file, whole), 'the file is not what is shown').not.toBe(
      0,
    );
  });

  test('a second fill, and a child', async () => {
    const two = await photo({});
    two.scene.get(two.id).fills = [...two.scene.get(two.id).fills, red];
    const parent = await photo({ type: 'FRAME' });
    parent.scene.add(parent.id, 'RECTANGLE', { width: 30, height: 30, fills: [red] });
    for (const given of [two, parent]) {
      expect((await capture(given)).picture.fill).toBeUndefined();
    }
  });

  test('blending, and a fill that is a mask', async () => {
    for (const looks of [{ blendMode: 'MULTIPLY' }, { isMask: true }]) {
      expect((await capture(await photo(looks))).picture.fill).toBeUndefined();
    }
    expect((await capture(await photo({}, { blendMode: 'MULTIPLY' }))).picture.fill).toBeUndefined();
  });

  test.each([
    ['at all', 0],
    ['but for its size', 1],
  ])('an image that fails to download %s', async (_, loads) => {
    const given = await photo({});
    given.scene.imageLoads = loads;
    expect((await capture(given)).picture.fill).toBeUndefined();
  });

  test('an image of more than 8192 pixels a side', async () => {
    const given = await photo({ width: 820, height: 2 }, {}, { width: 8200, height: 20 });
    const captured = await capture(given);
    expect(captured.picture.fill).toBeUndefined();
    expect((await sharp(captured.picture.file).metadata()).width).toBe(2460);
  });

  test('a file that the panel cannot read, at its request', async () => {
    const given = await photo({});
    const { sandbox } = drive(plugin.main, given.scene);
    const captured = await sandbox.call('capture', { ...node(given.id), exportOnly: true });
    expect(captured.picture.fill).toBeUndefined();
  });
});

describe('limits of an export (simulated)', () => {
  const solid: Paint[] = [{ type: 'SOLID', color: { r: 0, g: 0.5, b: 1 } }];
  const exported = async (scene: Scene, id: string) => {
    const { sandbox } = drive(plugin.main, scene);
    const { picture } = await sandbox.call('capture', node(id));
    const { width, height } = await sharp(picture.file).metadata();
    return { width, height, measured: await sandbox.call('measure', id) };
  };

  test.each([
    [100, 50, 300, 150],
    [4000, 20, 8192, 41],
    [20, 9000, 18, 8192],
  ])('%d x %d has %d x %d pixels, as announced', async (width, height, columns, rows) => {
    const scene = new Scene();
    const id = scene.add(scene.page, 'ELLIPSE', { width, height, fills: solid });
    const size = { width: columns, height: rows };
    expect(await exported(scene, id)).toEqual({ ...size, measured: size });
  });

  test('a rejected scale is retried at one that Figma accepts', async () => {
    const scene = new Scene();
    const id = scene.add(scene.page, 'ELLIPSE', { fills: solid });
    scene.exportLimits = { ...scene.exportLimits, scale: 1 };
    expect(await exported(scene, id)).toMatchObject({ width: 100, height: 100 });
  });

  test('a mask is exported at the picture’s resolution, as far as Figma allows', async () => {
    const given = await photo({ width: 40, height: 30 });
    const { scene, id } = given;
    const maskId = scene.add(scene.page, 'ELLIPSE', {
      width: 20,
      height: 10,
      relativeTransform: at(15, 25),
      fills: solid,
    });
    const widths: (number | undefined)[] = [];
    for (const scale of [Number.POSITIVE_INFINITY, 4]) {
      scene.exportLimits = { ...scene.exportLimits, scale };
      const { sandbox } = drive(plugin.main, scene);
      const { masks } = await sandbox.call('capture', {
        choice: { kind: 'node', id, maskId },
        exportOnly: false,
      });
      widths.push((await sharp(masks[0]!.png).metadata()).width);
    }
    // Ten photo pixels per unit, or four.
    expect(widths).toEqual([200, 80]);
  });
});

describe('a selection of thousands of layers (simulated)', () => {
  const manyLayers = (count: number) => {
    const scene = new Scene();
    const fills: Paint[] = [{ type: 'SOLID', color: { r: 0, g: 0, b: 0 } }];
    const ids = Array.from({ length: count }, () => scene.add(scene.page, 'RECTANGLE', { fills }));
    return { scene, ids };
  };
  const rested = () => new Promise((resolve) => setTimeout(resolve, 120));

  test('costs no more than one of a dozen, however often it changes', async () => {
    const { scene, ids } = manyLayers(5000);
    const { sandbox, realm } = drive(plugin.main, scene);
    const reports: { count: number; nodes: readonly unknown[] }[] = [];
    sandbox.on('selection', (selection) => reports.push(selection));
    const workOf = async (select: () => void): Promise<number> => {
      scene.work = { reads: 0, exports: 0 };
      select();
      await rested();
      expect(scene.work.exports).toBe(0);
      return scene.work.reads;
    };
    const few = await workOf(() => realm.api.select(ids.slice(0, 12)));
    const many = await workOf(() => realm.api.select(ids));
    const drawn = await workOf(() => {
      for (let i = 1; i <= 500; i++) realm.api.select(ids.slice(0, i * 10));
    });
    expect(few).toBeGreaterThan(12);
    expect(many).toBe(few);
    expect(drawn).toBe(few);
    expect(reports.map(({ count, nodes }) => [count, nodes.length])).toEqual([
      [12, 12],
      [5000, 12],
      [5000, 12],
    ]);
  });

  test('leaves recipes unread, except that of a single layer', async () => {
    const { scene, ids } = manyLayers(3);
    for (const id of ids) scene.get(id).pluginData = { recipe: 'x'.repeat(90_000) };
    const { sandbox, realm } = drive(plugin.main, scene);
    const recipes: number[][] = [];
    sandbox.on('selection', ({ nodes }) => recipes.push(nodes.map(({ recipe }) => recipe.length)));
    realm.api.select(ids);
    await rested();
    realm.api.select(ids.slice(0, 1));
    await rested();
    expect(recipes).toEqual([[0, 0, 0], [90_000]]);
  });
});
