import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import project from '../../manifest.json' with { type: 'json' };
import { figmaManifest } from '../../plugins/figma/manifest.ts';
import { type Built, built, drive, node, png } from './driver.ts';
import { manifestSchema } from './simulator/manifest-rules.ts';
import { SandboxRealm } from './simulator/plugin.ts';
import { render } from './simulator/render.ts';
import { Scene } from './simulator/scene.ts';

/*
 * What Figma rejects. For every entry: a naive plugin fails in the simulator, and the built one does not. The
 * origin `null` with its preflight is in security.test.ts, against the real companion; what the built panel
 * does with a result over 4096 pixels, which needs a browser, in plugin.test.ts.
 */

let plugin: Built;
beforeAll(async () => {
  plugin = await built();
});
afterAll(() => plugin.remove());

const red = [{ type: 'SOLID', color: { r: 1, g: 0, b: 0 } }] as const;

function document() {
  const scene = new Scene();
  const source = scene.add(scene.page, 'RECTANGLE', { name: 'Source', width: 40, height: 30, fills: red });
  return { scene, source };
}

/** Runs a naive plugin; returns what it posted, or throws what it threw. */
async function naive(scene: Scene, script: string, storage = new Map<string, unknown>()): Promise<string[]> {
  const posted: string[] = [];
  const realm = new SandboxRealm({ scene, storage, toUI: (text) => posted.push(text) });
  await realm.run(`(async () => { ${script} })()`);
  return posted;
}

async function placeOn(scene: Scene, source: string, storage?: Map<string, unknown>) {
  const { sandbox, realm } = drive(plugin.main, scene, storage);
  const captured = await sandbox.call('capture', node(source));
  const { width, height } = captured.source.bounds;
  const picture = await png(4, 3, () => [0, 0, 255, 255]);
  const mask = await png(4, 3, (x) => [255, 255, 255, x < 2 ? 255 : 0]);
  const place = (withMask: boolean, name = 'a result') =>
    sandbox.call('place', {
      name,
      source: captured.source,
      shape: withMask ? 'region' : 'node',
      tiles: [{ picture, bounds: { left: 0, top: 0, width, height } }],
      ...(withMask ? { mask: { picture: mask, bounds: { left: 0, top: 0, width, height } } } : {}),
      recipe: '{}',
    });
  return { sandbox, realm, captured, place };
}

describe('a strict manifest', () => {
  const ours = figmaManifest(project) as Record<string, unknown>;
  const network = ours.networkAccess as Record<string, unknown>;
  test('accepts ours', () => {
    expect(v.safeParse(manifestSchema, ours).success).toBe(true);
  });
  test.each([
    ['a key that Figma does not know', { ...ours, version: '0.1.0' }],
    ['a raw address', { ...ours, networkAccess: { ...network, allowedDomains: ['http://127.0.0.1:47810'] } }],
    ['any port', { ...ours, networkAccess: { ...network, allowedDomains: ['http://localhost:*'] } }],
    ['no scheme', { ...ours, networkAccess: { ...network, allowedDomains: ['localhost:47810'] } }],
    ['no dynamic pages', { ...ours, documentAccess: undefined }],
    ['no reason for a local domain', { ...ours, networkAccess: { ...network, reasoning: '' } }],
  ])('rejects %s', (_, manifest) => {
    expect(v.safeParse(manifestSchema, manifest).success).toBe(false);
  });
});

describe('two realms with a clone between', () => {
  test('a node, a function, an ArrayBuffer or a Map cannot cross; bytes and plain values can', async () => {
    const { scene } = document();
    for (const value of [
      'figma.currentPage',
      '() => 1',
      'new ArrayBuffer(4)',
      'new Map()',
      'new Uint16Array(2)',
    ]) {
      await expect(naive(scene, `figma.ui.postMessage({ value: ${value} })`)).rejects.toThrow(/Cannot clone/);
    }
    expect(
      await naive(scene, 'figma.ui.postMessage({ bytes: new Uint8Array([1, 2]), list: [null] })'),
    ).toHaveLength(1);
  });

  test('the sandbox has no DOM and no network', async () => {
    const { scene } = document();
    for (const name of [
      'document',
      'window',
      'fetch',
      'XMLHttpRequest',
      'Image',
      'Blob',
      'require',
      'process',
    ]) {
      expect(new SandboxRealm({ scene }).run(`typeof ${name}`), name).toBe('undefined');
    }
    await expect(naive(scene, 'new Blob([])')).rejects.toThrow(/Blob is not defined/);
  });

  test('the built sandbox answers every call across it', async () => {
    const { scene, source } = document();
    const { captured, sandbox } = await placeOn(scene, source);
    expect(captured.picture.file).toBeInstanceOf(Uint8Array);
    expect(await sandbox.call('selection', undefined as never)).toEqual({ count: 0, nodes: [] });
  });
});

describe('4096 pixels a side', () => {
  test('a larger image is rejected, and so is a file that is not an image', async () => {
    const { scene } = document();
    const wide = Buffer.from(await png(4097, 1, () => [0, 0, 0, 255])).toString('binary');
    const make = (text: string) =>
      `figma.createImage(Uint8Array.from(${JSON.stringify([...Buffer.from(text, 'binary')])}))`;
    await expect(naive(scene, make(wide))).rejects.toThrow(/too large/);
    await expect(naive(scene, make('nothing'))).rejects.toThrow(/unsupported/);
  });
});

describe('dynamic pages', () => {
  test.each([
    'figma.getNodeById("1:2")',
    'figma.currentPage = figma.currentPage',
    'figma.on("documentchange", () => 0)',
  ])('%s throws', async (script) => {
    await expect(naive(document().scene, script)).rejects.toThrow(/dynamic-page/);
  });
  test('the built sandbox still finds nodes by ID', async () => {
    const { scene, source } = document();
    expect((await placeOn(scene, source)).captured.source.id).toBe(source);
  });
});

describe('render bounds that are null', () => {
  test('a naive plugin fails on a hidden layer; the built one names the layer and what to do', async () => {
    const { scene, source } = document();
    const frame = scene.add(scene.page, 'FRAME', { visible: false });
    scene.insert(frame, 0, source);
    scene.selection = [source];
    await expect(naive(scene, 'figma.currentPage.selection[0].absoluteRenderBounds.width')).rejects.toThrow(
      /null/,
    );
    await expect(naive(scene, 'await figma.currentPage.selection[0].exportAsync()')).rejects.toThrow(
      /visible layers/,
    );
    const { sandbox } = drive(plugin.main, scene);
    await expect(sandbox.call('capture', node(source))).rejects.toMatchObject({
      code: 'request-invalid',
      detail: 'The layer to edit "Source" cannot be used: this layer is hidden or empty.',
    });
    const { nodes } = await sandbox.call('selection', undefined as never);
    expect(nodes[0]!.obstacle).toMatch(/hidden/);
  });

  test('effects and strokes extend past a layer: only an export with absolute bounds has its size', async () => {
    const { scene, source } = document();
    Object.assign(scene.get(source), { strokeWeight: 8, effectReach: 10 });
    const { captured } = await placeOn(scene, source);
    expect(captured.source.bounds).toMatchObject({ width: 40, height: 30 });
    // Three times its size, and nothing of the shadow.
    expect(new DataView(captured.picture.file.buffer).getUint32(16)).toBe(120);
    scene.selection = [source];
    const [posted] = await naive(
      scene,
      'const png = await figma.currentPage.selection[0].exportAsync(); figma.ui.postMessage(png[19])',
    );
    expect(Number(posted)).toBe(68);
  });
});

describe('5 MB of storage', () => {
  test('a plugin that stores pictures there fails; the built one reports it and continues', async () => {
    const { scene, source } = document();
    const storage = new Map<string, unknown>([['other', 'x'.repeat(4_999_900)]]);
    const keep = 'await figma.clientStorage.setAsync("picture", "x".repeat(1000))';
    await expect(naive(scene, keep, storage)).rejects.toThrow(/quota/);
    const { sandbox, place } = await placeOn(scene, source, storage);
    await expect(sandbox.call('store', { key: 'edit', value: 'x'.repeat(500) })).rejects.toThrow(/quota/);
    expect(await place(false)).toBe('');
  });

  test('a recipe over 100 kB is left out with a note, and the result is placed', async () => {
    const { scene, source } = document();
    scene.selection = [source];
    await expect(
      naive(scene, 'figma.currentPage.selection[0].setPluginData("recipe", "x".repeat(100001))'),
    ).rejects.toThrow(/100 kB/);
    const { sandbox, captured } = await placeOn(scene, source);
    const said = await sandbox.call('place', {
      name: 'long',
      source: captured.source,
      shape: 'node',
      tiles: [{ picture: captured.picture.file, bounds: { left: 0, top: 0, width: 40, height: 30 } }],
      recipe: 'x'.repeat(100_001),
    });
    expect(said).toMatch(/too long/);
    expect([...scene.states.values()].at(-1)!.name).toBe('long');
  });
});

describe('the order of a mask', () => {
  const area = { x: 0, y: 0, width: 40, height: 30 };
  const at = async (scene: Scene, x: number) =>
    [
      ...(await render(scene, scene.page, area, area)).subarray((15 * 40 + x) * 4, (15 * 40 + x) * 4 + 4),
    ].join();

  test('a mask above the picture, as a naive plugin makes it, has no effect on it', async () => {
    const { scene } = document();
    const script = `
      const picture = figma.createRectangle(); picture.resize(40, 30);
      picture.fills = [{ type: 'SOLID', color: { r: 0, g: 0, b: 1 } }];
      const mask = figma.createRectangle(); mask.resize(20, 30); mask.isMask = true;
      mask.fills = [{ type: 'SOLID', color: { r: 0, g: 0, b: 0 } }];
      figma.group([mask, picture], figma.currentPage);`;
    await naive(scene, script);
    expect(await at(scene, 30)).toBe('0,0,255,255');
  });

  test('the built one puts the mask below the picture: half of it shows, and nothing outside the group is masked', async () => {
    const { scene, source } = document();
    await (await placeOn(scene, source)).place(true);
    expect([await at(scene, 10), await at(scene, 30)]).toEqual(['0,0,255,255', '255,0,0,255']);
  });
});

describe('the boundaries of undo', () => {
  test('without commits, one undo reverts everything since the plugin opened', async () => {
    const { scene } = document();
    const before = scene.get(scene.page).children.length;
    scene.startPlugin();
    await naive(scene, 'figma.createRectangle()');
    await naive(scene, 'figma.createRectangle()');
    scene.undo();
    expect(scene.get(scene.page).children).toHaveLength(before);
  });

  test('the built one makes each result its own undo step', async () => {
    const { scene, source } = document();
    const { place } = await placeOn(scene, source);
    const none = scene.snapshot();
    await place(true);
    const one = scene.snapshot();
    await place(false);
    scene.undo();
    expect(scene.snapshot()).toBe(one);
    scene.undo();
    expect(scene.snapshot()).toBe(none);
  });
});

describe('parents that cannot take a result', () => {
  test('a naive plugin fails to insert into an instance; the built one places the result above it', async () => {
    const { scene } = document();
    const instance = scene.add(scene.page, 'INSTANCE', { width: 90, height: 90 });
    const inner = scene.add(instance, 'RECTANGLE', { fills: red });
    scene.selection = [inner];
    const script = 'figma.currentPage.selection[0].parent.appendChild(figma.createRectangle())';
    await expect(naive(scene, script)).rejects.toThrow(/instance/);
    await (await placeOn(scene, inner)).place(false, 'above');
    const result = [...scene.states.values()].at(-1)!;
    expect(result).toMatchObject({ name: 'above', parent: scene.page });
    expect(scene.box(result.id)).toEqual(scene.box(inner));
  });

  test('auto layout would move a naive result; the built one opts it out', async () => {
    const { scene } = document();
    const frame = scene.add(scene.page, 'FRAME', { layoutMode: 'HORIZONTAL', padding: 10, width: 200 });
    const inner = scene.add(frame, 'RECTANGLE', { fills: red, width: 40, height: 30 });
    scene.selection = [inner];
    await naive(
      scene,
      `const [node] = figma.currentPage.selection; const made = figma.createRectangle(); made.name = 'naive';
       node.parent.appendChild(made); made.relativeTransform = node.relativeTransform;`,
    );
    const moved = [...scene.states.values()].find(({ name }) => name === 'naive')!;
    expect(scene.box(moved.id).x).toBe(50);
    scene.remove(moved.id);
    await (await placeOn(scene, inner)).place(true, 'built');
    const built = [...scene.states.values()].find(({ name }) => name === 'built')!;
    expect(scene.box(built.id)).toEqual(scene.box(inner));
  });

  test('a scaling transform, an unknown paint and a removed node are rejected', async () => {
    const { scene } = document();
    const made = 'const made = figma.createRectangle();';
    await expect(naive(scene, `${made} made.relativeTransform = [[2, 0, 0], [0, 2, 0]]`)).rejects.toThrow(
      /scaling/,
    );
    await expect(
      naive(scene, `${made} made.fills = [{ type: 'IMAGE', scaleMode: 'STRETCH', imageHash: 'x' }]`),
    ).rejects.toThrow(/scaleMode/);
    await expect(naive(scene, `${made} made.remove(); made.name = 'x'`)).rejects.toThrow(/does not exist/);
    await expect(naive(scene, `${made} made.layoutPositioning = 'ABSOLUTE'`)).rejects.toThrow(/auto-layout/);
  });
});

describe('colours', () => {
  test('an export in the document’s profile has other colours than sRGB; the built one asks for sRGB', async () => {
    const { scene, source } = document();
    scene.selection = [source];
    const sharp = (await import('sharp')).default;
    const { captured } = await placeOn(scene, source);
    const [r] = await sharp(captured.picture.file).raw().toBuffer();
    expect(r).toBe(255);
    const [posted] = await naive(
      scene,
      `figma.ui.postMessage(await figma.currentPage.selection[0].exportAsync({ format: 'PNG' }))`,
    );
    const bytes = Buffer.from((JSON.parse(posted!) as { $bytes: string }).$bytes, 'base64');
    expect((await sharp(bytes).raw().toBuffer())[0]).toBeLessThan(235);
  });
});
