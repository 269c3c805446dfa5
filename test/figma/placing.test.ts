import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CapturedNode, Placing } from '../../plugins/figma/protocol.ts';
import { type Built, built, drive, node, png, random } from './driver.ts';
import {
  apply,
  corners,
  type NodeState,
  type NodeType,
  type Point,
  Scene,
  type Transform,
  unapply,
} from './simulator/scene.ts';

let plugin: Built;
beforeAll(async () => {
  plugin = await built();
});
afterAll(() => plugin.remove());

/** A rotated, mirrored and translated position. */
function placeOf(next: () => number): Transform {
  const angle = next() < 0.4 ? 0 : (next() * 2 - 1) * Math.PI;
  const flip = next() < 0.25 ? -1 : 1;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [
    [cos * flip, -sin, next() * 400 - 200],
    [sin * flip, cos, next() * 400 - 200],
  ];
}

/** A random tree; one node in it is the source. */
function randomTree(seed: number): { scene: Scene; source: string } {
  const next = random(seed);
  const scene = new Scene();
  const looks = (): Partial<NodeState> => ({
    relativeTransform: placeOf(next),
    width: 8 + next() * 90,
    height: 8 + next() * 90,
    opacity: next() < 0.3 ? 0.5 : 1,
    strokeWeight: next() < 0.3 ? next() * 12 : 0,
    effectReach: next() < 0.3 ? next() * 20 : 0,
    fills: [{ type: 'SOLID', color: { r: next(), g: next(), b: next() } }],
  });
  let parent = scene.page;
  const depth = Math.floor(next() * 5);
  for (let level = 0; level < depth; level++) {
    const kinds: NodeType[] = [
      'FRAME',
      'FRAME',
      'GROUP',
      'COMPONENT',
      'INSTANCE',
      'BOOLEAN_OPERATION',
      'SECTION',
    ];
    const type = kinds[Math.floor(next() * kinds.length)]!;
    // A section holds sections and frames, and lies in no frame.
    const isPossible = type !== 'SECTION' || parent === scene.page;
    const layout = next() < 0.4 && (type === 'FRAME' || type === 'COMPONENT' || type === 'INSTANCE');
    parent = scene.add(parent, isPossible ? type : 'FRAME', {
      ...looks(),
      ...(type === 'SECTION' && isPossible
        ? {
            relativeTransform: [
              [1, 0, next() * 99],
              [0, 1, next() * 99],
            ] as Transform,
          }
        : {}),
      width: 150 + next() * 100,
      height: 150 + next() * 100,
      clipsContent: false,
      layoutMode: layout ? (next() < 0.5 ? 'HORIZONTAL' : 'VERTICAL') : 'NONE',
      itemSpacing: next() * 20,
      padding: next() * 20,
    });
    for (let i = Math.floor(next() * 3); i > 0; i--) scene.add(parent, 'RECTANGLE', looks());
  }
  const sourceType = (['RECTANGLE', 'FRAME', 'TEXT', 'GROUP', 'INSTANCE', 'COMPONENT'] as const)[
    Math.floor(next() * 6)
  ]!;
  const source = scene.add(parent, sourceType, { ...looks(), clipsContent: next() < 0.5 });
  if (sourceType !== 'RECTANGLE' && sourceType !== 'TEXT') {
    for (let i = 1 + Math.floor(next() * 2); i > 0; i--) {
      scene.add(source, 'RECTANGLE', { ...looks(), relativeTransform: placeOf(next), width: 30, height: 20 });
    }
  }
  for (let i = Math.floor(next() * 3); i > 0; i--) scene.add(parent, 'RECTANGLE', looks());
  // What lies around it clips it wherever something of it is still to be seen.
  for (const { id, type } of scene.ancestors(source)) {
    if (type === 'PAGE' || type === 'GROUP' || type === 'BOOLEAN_OPERATION' || type === 'SECTION') continue;
    scene.get(id).clipsContent = true;
    if (!scene.renderBox(source)) scene.get(id).clipsContent = false;
  }
  return { scene, source };
}

/** Where a point of the page lies in the image of a placed rectangle, 0..1, by Figma's rules. */
function imagePoint(scene: Scene, id: string, point: Point): Point {
  const state = scene.get(id);
  const local = unapply(scene.absolute(id), point);
  const unit = { x: local.x / state.width, y: local.y / state.height };
  const [fill] = state.fills;
  if (fill?.type !== 'IMAGE' || !fill.imageTransform) throw new Error('no image');
  return apply(fill.imageTransform, unit);
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

/** Everything in drawing order. */
function drawn(scene: Scene, id = scene.page): string[] {
  return [id, ...scene.get(id).children.flatMap((child) => drawn(scene, child))];
}

const placing = (captured: CapturedNode, more: Partial<Placing>): Placing => ({
  name: 'a red circle',
  source: captured.source,
  shape: 'node',
  tiles: [],
  recipe: '{}',
  ...more,
});

describe('a result lies over its source to within half a pixel (simulated)', () => {
  const trees = Array.from({ length: 100 }, (_, seed) => seed + 1);

  test.each(trees)('the whole node, tree %i', async (seed) => {
    const { scene, source } = randomTree(seed);
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    const { width, height } = await sharp(captured.picture.file).metadata();
    const before = scene.snapshot();
    const outline = corners(scene.size(source)).map((corner) => apply(scene.absolute(source), corner));
    const { left, top, width: w, height: h } = captured.source.bounds;

    await sandbox.call(
      'place',
      placing(captured, {
        tiles: [{ picture: captured.picture.file, bounds: { left: 0, top: 0, width: w, height: h } }],
      }),
    );
    const result = [...scene.states.values()].at(-1)!;
    const placed = corners(result).map((corner) => apply(scene.absolute(result.id), corner));
    outline.forEach((corner, i) => {
      expect(distance(corner, placed[i]!), `corner ${i}`).toBeLessThan(0.5);
    });
    for (const [u, v] of [
      [0.1, 0.1],
      [0.9, 0.2],
      [0.5, 0.5],
      [0.3, 0.8],
    ] as const) {
      const at = apply(scene.absolute(source), {
        x: u * scene.size(source).width,
        y: v * scene.size(source).height,
      });
      const found = imagePoint(scene, result.id, at);
      const pixel = { x: found.x * width, y: found.y * height };
      const wanted = { x: ((at.x - left) / w) * width, y: ((at.y - top) / h) * height };
      expect(distance(pixel, wanted), `point ${u}, ${v}`).toBeLessThan(0.5);
    }
    // Above the source and all that is in it, and in nothing that takes no children.
    const order = drawn(scene);
    const last = Math.max(...drawn(scene, source).map((id) => order.indexOf(id)));
    expect(order.indexOf(result.id)).toBeGreaterThan(last);
    const refusing = ['INSTANCE', 'BOOLEAN_OPERATION', 'COMPONENT_SET'];
    expect(scene.ancestors(result.id).filter(({ type }) => refusing.includes(type))).toEqual([]);
    scene.undo();
    expect(scene.snapshot()).toBe(before);
  });

  test.each(trees)('a region with its mask, tree %i', async (seed) => {
    const { scene, source } = randomTree(seed);
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    const { bounds } = captured.source;
    const others = new Map(drawn(scene).map((id) => [id, scene.absolute(id)]));
    const before = scene.snapshot();
    const part = {
      left: bounds.width * 0.25,
      top: bounds.height * 0.5,
      width: bounds.width * 0.5,
      height: 4,
    };
    const picture = await png(2, 1, () => [9, 9, 9, 255]);
    await sandbox.call(
      'place',
      placing(captured, {
        shape: 'region',
        tiles: [{ picture, bounds: part }],
        mask: { picture, bounds: part },
      }),
    );

    const group = [...scene.states.values()]
      .filter(({ removed, type }) => !removed && type === 'GROUP')
      .at(-1)!;
    const [mask, shown] = group.children.map((id) => scene.get(id));
    expect([mask!.isMask, shown!.isMask]).toEqual([true, false]);
    const at = { x: bounds.left + part.left, y: bounds.top + part.top };
    const wanted = corners(part).map(({ x, y }) => ({ x: x + at.x, y: y + at.y }));
    for (const node of [mask!, shown!]) {
      const found = corners(node).map((corner) => apply(scene.absolute(node.id), corner));
      wanted.forEach((corner, i) => {
        expect(distance(corner, found[i]!), `${node.name}, corner ${i}`).toBeLessThan(0.5);
      });
    }
    // Nothing else has moved, even in auto layout.
    const grouped = new Set(
      [...scene.states.values()]
        .filter(({ type }) => type === 'GROUP' || type === 'BOOLEAN_OPERATION')
        .map(({ id }) => id),
    );
    for (const [id, transform] of others) {
      if (grouped.has(id)) continue;
      const moved = distance(apply(transform, { x: 0, y: 0 }), apply(scene.absolute(id), { x: 0, y: 0 }));
      expect(moved, `${id} moved`).toBeLessThan(0.01);
    }
    scene.undo();
    expect(scene.snapshot()).toBe(before);
  });
});

describe('a result finds its place (simulated)', () => {
  const solid = [{ type: 'SOLID', color: { r: 1, g: 0, b: 0 } }] as const;

  test('over the source’s current position, if it was moved and rotated during the edit', async () => {
    const scene = new Scene();
    const source = scene.add(scene.page, 'RECTANGLE', { fills: solid, width: 40, height: 20 });
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    scene.get(source).relativeTransform = [
      [0, -1, 300],
      [1, 0, 70],
    ];
    const picture = await png(2, 1, () => [9, 9, 9, 255]);
    const bounds = { left: 10, top: 5, width: 20, height: 10 };
    await sandbox.call('place', placing(captured, { shape: 'region', tiles: [{ picture, bounds }] }));
    const result = [...scene.states.values()].at(-1)!;
    const wanted = apply(scene.absolute(source), { x: 10, y: 5 });
    expect(distance(apply(scene.absolute(result.id), { x: 0, y: 0 }), wanted)).toBeLessThan(1e-6);
  });

  test('on the page, with a note, if the source is gone: a result is never lost', async () => {
    const scene = new Scene();
    const frame = scene.add(scene.page, 'FRAME', {
      relativeTransform: [
        [1, 0, 50],
        [0, 1, 60],
      ],
    });
    const source = scene.add(frame, 'RECTANGLE', { fills: solid });
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    scene.remove(frame);
    const said = await sandbox.call(
      'place',
      placing(captured, {
        tiles: [{ picture: captured.picture.file, bounds: { left: 0, top: 0, width: 100, height: 100 } }],
      }),
    );
    expect(said).toMatch(/gone/);
    const result = [...scene.states.values()].at(-1)!;
    expect(scene.box(result.id)).toEqual({ x: 50, y: 60, width: 100, height: 100 });
  });

  test('in tiles that meet without a gap, as one group and one undo step', async () => {
    const scene = new Scene();
    const source = scene.add(scene.page, 'RECTANGLE', { fills: solid, width: 60, height: 20 });
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    const before = scene.snapshot();
    const picture = await png(2, 1, () => [9, 9, 9, 255]);
    const tiles = [0, 30].map((left) => ({ picture, bounds: { left, top: 0, width: 30, height: 20 } }));
    await sandbox.call('place', placing(captured, { shape: 'region', tiles }));
    const group = [...scene.states.values()].find(({ type }) => type === 'GROUP')!;
    expect(group.name).toBe('a red circle');
    expect(scene.box(group.id)).toEqual(scene.box(source));
    scene.undo();
    expect(scene.snapshot()).toBe(before);
  });

  test('clipped where it extends past the source by a fraction of a pixel, showing the same pixels', async () => {
    const scene = new Scene();
    const source = scene.add(scene.page, 'RECTANGLE', { fills: solid, width: 60, height: 20 });
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    const picture = await png(31, 10, () => [9, 9, 9, 255]);
    // Two units to a pixel, half a pixel of which lies beyond each side.
    const bounds = { left: -1, top: 0, width: 62, height: 20 };
    for (const shape of ['node', 'region'] as const) {
      await sandbox.call('place', placing(captured, { shape, tiles: [{ picture, bounds }] }));
      const result = [...scene.states.values()].at(-1)!;
      expect(scene.box(result.id)).toEqual(scene.box(source));
      const first = imagePoint(scene, result.id, { x: 0, y: 0 });
      const last = imagePoint(scene, result.id, { x: 60, y: 20 });
      expect(first.x * 31).toBeCloseTo(0.5, 9);
      expect(last.x * 31).toBeCloseTo(30.5, 9);
    }
  });

  test('with its source’s rounded corners', async () => {
    const scene = new Scene();
    const radii = [4, 0, 8, 2] as const;
    const source = scene.add(scene.page, 'RECTANGLE', { fills: solid, radii });
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    const picture = await png(4, 4, () => [9, 9, 9, 255]);
    const tile = (left: number) => ({ picture, bounds: { left, top: 0, width: 50, height: 100 } });
    const whole = { picture, bounds: { left: 0, top: 0, width: 100, height: 100 } };
    await sandbox.call('place', placing(captured, { tiles: [whole] }));
    expect([...scene.states.values()].at(-1)!.radii).toEqual(radii);
    await sandbox.call('place', placing(captured, { tiles: [tile(0), tile(50)] }));
    const group = [...scene.states.values()].find(({ type }) => type === 'GROUP')!;
    const [outline, ...tiles] = group.children.map((id) => scene.get(id));
    expect(outline).toMatchObject({ isMask: true, radii });
    expect(tiles.map(({ isMask }) => isMask)).toEqual([false, false]);
  });

  test('and leaves nothing half done if Figma rejects part of it', async () => {
    const scene = new Scene();
    const source = scene.add(scene.page, 'RECTANGLE', { fills: solid });
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    const before = scene.snapshot();
    const picture = await png(2, 1, () => [9, 9, 9, 255]);
    const bounds = { left: 0, top: 0, width: 50, height: 100 };
    const broken = { picture: new Uint8Array([1, 2, 3]), bounds };
    const asked = placing(captured, {
      shape: 'region',
      tiles: [{ picture, bounds }, broken],
      mask: { picture, bounds },
    });
    await expect(sandbox.call('place', asked)).rejects.toThrow(/unsupported/);
    expect(scene.snapshot()).toBe(before);
  });

  test('with variants in a row next to everything that contains the source', async () => {
    const scene = new Scene();
    const frame = scene.add(scene.page, 'FRAME', { width: 300, height: 200 });
    const source = scene.add(frame, 'RECTANGLE', { fills: solid });
    const { sandbox } = drive(plugin.main, scene);
    const captured = await sandbox.call('capture', node(source));
    const before = scene.snapshot();
    const tiles = [{ picture: captured.picture.file, bounds: { left: 0, top: 0, width: 100, height: 100 } }];
    const pictures = ['one', 'two', 'three'].map((name) => ({ name, tiles, recipe: '{}' }));
    await sandbox.call('placeSideBySide', { source: captured.source, pictures });
    const boxes = scene.get(scene.page).children.map((id) => scene.box(id));
    expect(boxes.slice(1).map(({ x, y }) => [x, y])).toEqual([
      [340, 0],
      [480, 0],
      [620, 0],
    ]);
    scene.undo();
    expect(scene.snapshot()).toBe(before);
  });
});
