import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { render } from './render.ts';
import { apply, type NodeState, type NodeType, type Scene, type Transform, takesChildren } from './scene.ts';

/** What the document's half of a plugin sees as `figma`: rejects what Figma rejects, in its own words. */

type Handle = Record<string, unknown>;

const maxImageSide = 4096;
const storageQuota = 5_000_000;
const longestPluginData = 100_000;
const roundTypes: readonly NodeType[] = ['RECTANGLE', 'FRAME', 'COMPONENT', 'COMPONENT_SET', 'INSTANCE'];
const corners = ['topLeftRadius', 'topRightRadius', 'bottomRightRadius', 'bottomLeftRadius'] as const;
const stroke = { type: 'SOLID', color: { r: 0, g: 0, b: 0 }, visible: true } as const;
const layoutTypes: readonly NodeType[] = ['FRAME', 'COMPONENT', 'COMPONENT_SET', 'INSTANCE'];

export interface Interface {
  readonly html: string;
  readonly options: { readonly themeColors?: boolean; readonly width?: number; readonly height?: number };
}

export interface ApiParts {
  readonly scene: Scene;
  readonly storage: Map<string, unknown>;
  readonly showUI: (shown: Interface) => void;
  readonly toUI: (message: unknown) => void;
}

export class FigmaApi {
  readonly global: Handle;
  private readonly handles = new Map<string, Handle>();
  private readonly listeners = new Map<string, (() => void)[]>();
  onmessage: ((message: unknown) => void) | undefined;

  constructor(private readonly parts: ApiParts) {
    const { scene, storage } = parts;
    const api = this;
    this.global = Object.preventExtensions({
      mixed: Symbol('figma.mixed'),
      root: Object.freeze({
        type: 'DOCUMENT',
        getPluginData: (key: string) => scene.documentData.get(key) ?? '',
        setPluginData: (key: string, value: string) => void scene.documentData.set(key, value),
      }),
      get currentPage() {
        return api.handle(scene.page);
      },
      set currentPage(_page) {
        throw dynamicPage('set currentPage', 'setCurrentPageAsync');
      },
      getNodeById: () => {
        throw dynamicPage('getNodeById', 'getNodeByIdAsync');
      },
      getNodeByIdAsync: async (id: string) => {
        const state = scene.states.get(id);
        return state && !state.removed ? this.handle(id) : null;
      },
      createRectangle: () => this.handle(scene.add(scene.page, 'RECTANGLE', { name: 'Rectangle' })),
      group: (nodes: readonly Handle[], parent: Handle, index?: number) => this.group(nodes, parent, index),
      createImage: (bytes: Uint8Array) => this.createImage(bytes),
      getImageByHash: (hash: string) => (scene.images.has(hash) ? this.image(hash) : null),
      commitUndo: () => scene.commitUndo(),
      clientStorage: {
        getAsync: async (key: string) => storage.get(key),
        setAsync: async (key: string, value: unknown) => {
          const kept = [...storage].filter(([other]) => other !== key);
          if (JSON.stringify([...kept, [key, value]]).length > storageQuota) {
            throw new Error('in setAsync: the 5MB quota of clientStorage is exceeded');
          }
          storage.set(key, value);
        },
      },
      showUI: (html: string, options: Interface['options'] = {}) => {
        refuseUnknownKeys('showUI', options, [
          'themeColors',
          'width',
          'height',
          'title',
          'visible',
          'position',
        ]);
        parts.showUI({ html, options });
      },
      ui: Object.preventExtensions({
        postMessage: (message: unknown) => parts.toUI(message),
        get onmessage() {
          return api.onmessage;
        },
        set onmessage(listener) {
          api.onmessage = listener;
        },
      }),
      on: (name: string, listener: () => void) => {
        if (name === 'documentchange') throw dynamicPage('figma.on("documentchange")', 'loadAllPagesAsync');
        if (!['selectionchange', 'currentpagechange', 'close'].includes(name)) {
          throw new Error(`in on: unknown event "${name}"`);
        }
        this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
      },
    });
  }

  /** As a person selects. */
  select(ids: readonly string[]): void {
    this.parts.scene.selection = ids;
    for (const listener of this.listeners.get('selectionchange') ?? []) listener();
  }

  private createImage(bytes: Uint8Array): Handle {
    const size = imageSize(bytes);
    if (!size) throw new Error('in createImage: Image type is unsupported');
    if (size.width > maxImageSide || size.height > maxImageSide) {
      throw new Error('in createImage: Image is too large');
    }
    const copy = Uint8Array.from(bytes);
    const hash = createHash('sha1').update(copy).digest('hex');
    if (!this.parts.scene.images.has(hash)) this.parts.scene.images.set(hash, copy);
    return this.image(hash);
  }

  private image(hash: string): Handle {
    const bytes = this.parts.scene.images.get(hash)!;
    const load = () => {
      if (this.parts.scene.imageLoads-- <= 0) throw new Error('in getBytesAsync: Image could not be loaded');
      return bytes;
    };
    return {
      hash,
      getBytesAsync: async () => load().slice(),
      getSizeAsync: async () => {
        if (!this.parts.scene.followsOrientation) return imageSize(load());
        const { autoOrient } = await sharp(load()).metadata();
        return { width: autoOrient.width, height: autoOrient.height };
      },
    };
  }

  /** In layer order, whatever order they are given in. */
  private group(nodes: readonly Handle[], parent: Handle, index?: number): Handle {
    const { scene } = this.parts;
    if (nodes.length === 0) throw new Error('in group: a group cannot be empty');
    const order = orderOf(scene);
    const ids = nodes.map((node) => String(node.id)).sort((a, b) => order.get(a)! - order.get(b)!);
    const target = String(parent.id);
    this.refuseChild(target, 'group');
    const { id } = scene.create('GROUP', { name: 'Group' });
    const places = ids.map((child) => scene.absolute(child));
    scene.insert(target, index ?? scene.get(target).children.length, id);
    for (const child of ids) scene.insert(id, scene.get(id).children.length, child);
    ids.forEach((child, i) => {
      scene.get(child).relativeTransform = within(scene.absolute(scene.container(child).id), places[i]!);
    });
    return this.handle(id);
  }

  private refuseChild(parent: string, doing: string): void {
    const { scene } = this.parts;
    const { type } = scene.get(parent);
    if (!takesChildren(type)) throw new Error(`in ${doing}: ${type} takes no children`);
    const line = [scene.get(parent), ...scene.ancestors(parent)];
    if (line.some((state) => state.type === 'INSTANCE')) {
      throw new Error(`in ${doing}: Cannot move node. New parent is an instance or is inside of an instance`);
    }
    if (type === 'COMPONENT_SET') throw new Error(`in ${doing}: a component set takes only components`);
  }

  handle(id: string): Handle {
    const known = this.handles.get(id);
    if (known) return known;
    const made = this.makeHandle(id);
    this.handles.set(id, made);
    return made;
  }

  private makeHandle(id: string): Handle {
    const { scene } = this.parts;
    const state = scene.get(id);
    const { type } = state;
    // A separate class, so that no message can carry a node across.
    const handle: Handle = Object.create(Object.create({}));
    const define = (name: string, get: () => unknown, set?: (value: never) => void): void => {
      Object.defineProperty(handle, name, {
        enumerable: true,
        get: () => {
          if (state.removed && !['removed', 'id'].includes(name)) {
            throw new Error(`in get_${name}: The node with id "${id}" does not exist`);
          }
          scene.work.reads++;
          return get();
        },
        set: (value: never) => {
          if (!set) throw new Error(`in set_${name}: no setter for property`);
          if (state.removed) throw new Error(`in set_${name}: The node with id "${id}" does not exist`);
          set(value);
        },
      });
    };
    const method = (name: string, call: (...given: never[]) => unknown): void => define(name, () => call);
    const plain = <Key extends keyof NodeState>(name: Key): void =>
      define(
        name,
        () => state[name],
        (value: never) => {
          state[name] = value;
        },
      );

    define('id', () => id);
    define('type', () => type);
    define('removed', () => state.removed);
    define('parent', () => (state.parent === undefined ? null : this.handle(state.parent)));
    plain('name');
    method('getPluginData', (key: string) => state.pluginData[key] ?? '');
    method('setPluginData', (key: string, value: string) => {
      if (key.length + value.length > longestPluginData) {
        throw new Error('in setPluginData: entry size cannot exceed 100 kB');
      }
      state.pluginData = { ...state.pluginData, [key]: value };
    });
    if (takesChildren(type)) {
      define('children', () => state.children.map((child) => this.handle(child)));
      method('insertChild', (index: number, child: Handle) => this.insertChild(id, index, child));
      method('appendChild', (child: Handle) => this.insertChild(id, state.children.length, child));
      method('findAll', (test: (node: Handle) => boolean) =>
        descendants(scene, id)
          .map((child) => this.handle(child))
          .filter(test),
      );
    }
    if (type === 'PAGE') {
      define('selection', () => scene.selection.map((selected) => this.handle(selected)));
      return Object.preventExtensions(handle);
    }

    plain('visible');
    plain('opacity');
    method('remove', () => {
      if (scene.ancestors(id).some((ancestor) => ancestor.type === 'INSTANCE')) {
        throw new Error('in remove: Removing this node is not allowed');
      }
      scene.remove(id);
    });
    define('width', () => scene.size(id).width);
    define('height', () => scene.size(id).height);
    define('absoluteTransform', () => scene.absolute(id));
    define('absoluteBoundingBox', () => scene.box(id));
    if (type === 'SECTION') return Object.preventExtensions(handle);

    define('absoluteRenderBounds', () => scene.renderBox(id) ?? null);
    define(
      'relativeTransform',
      () => scene.relative(id),
      (to: Transform) => this.setTransform(state, to),
    );
    method('resize', (width: number, height: number) => {
      if (!(width >= 0.01 && height >= 0.01)) throw new Error('in resize: must be at least 0.01');
      state.width = width;
      state.height = height;
    });
    define(
      'layoutPositioning',
      () => state.layoutPositioning,
      (value: NodeState['layoutPositioning']) => {
        const { layoutMode } = scene.get(state.parent!);
        if (value === 'ABSOLUTE' && layoutMode === 'NONE') {
          throw new Error('in set_layoutPositioning: Can only set on children of auto-layout frames');
        }
        state.layoutPositioning = value;
      },
    );
    plain('isMask');
    plain('blendMode');
    define('effects', () => effectsOf(state));
    if (type !== 'GROUP') define('strokes', () => (state.strokeWeight > 0 ? [stroke] : []));
    if (roundTypes.includes(type)) {
      corners.forEach((name, i) => {
        define(
          name,
          () => state.radii[i],
          (radius: number) => {
            if (!(radius >= 0)) throw new Error(`in set_${name}: must be at least 0`);
            state.radii = state.radii.map((other, k) =>
              k === i ? radius : other,
            ) as unknown as NodeState['radii'];
          },
        );
      });
    }
    if (layoutTypes.includes(type)) define('layoutMode', () => state.layoutMode);
    if (type !== 'GROUP') {
      define(
        'fills',
        () => state.fills,
        (fills: NodeState['fills']) => {
          for (const fill of fills) this.checkPaint(fill);
          state.fills = fills.map((fill) => ({ ...fill }));
        },
      );
    }
    method('exportAsync', (settings: ExportSettings = { format: 'PNG' }) => this.export(id, settings));
    return Object.preventExtensions(handle);
  }

  private insertChild(parent: string, index: number, child: Handle): void {
    const { scene } = this.parts;
    const id = String(child.id);
    this.refuseChild(parent, 'insertChild');
    const state = scene.get(id);
    const room = scene.get(parent).children.length - (state.parent === parent ? 1 : 0);
    if (index < 0 || index > room) throw new Error(`in insertChild: index ${index} is out of range`);
    if (parent === id || scene.ancestors(parent).some((ancestor) => ancestor.id === id)) {
      throw new Error('in insertChild: a node cannot be its own parent');
    }
    scene.insert(parent, index, id);
    if (scene.get(parent).layoutMode === 'NONE') state.layoutPositioning = 'AUTO';
  }

  private setTransform(state: NodeState, to: Transform): void {
    const numbers = [...(to[0] ?? []), ...(to[1] ?? [])];
    if (to.length !== 2 || numbers.length !== 6 || numbers.some((number) => !Number.isFinite(number))) {
      throw new Error('in set_relativeTransform: Expected a 2x3 matrix of numbers');
    }
    const [[a, c], [b, d]] = to;
    if (Math.abs(Math.hypot(a, b) - 1) > 1e-4 || Math.abs(Math.hypot(c, d) - 1) > 1e-4) {
      throw new Error('in set_relativeTransform: Not used for scaling, see width and height instead');
    }
    if (state.type !== 'GROUP') {
      state.relativeTransform = to;
      return;
    }
    const { scene } = this.parts;
    const before = scene.relative(state.id);
    for (const child of descendants(scene, state.id)) {
      const at = scene.get(child);
      if (at.type === 'GROUP' || scene.container(child).id !== scene.container(state.id).id) continue;
      const [[p, q, x], [r, s, y]] = at.relativeTransform;
      at.relativeTransform = [
        [p, q, x + to[0][2] - before[0][2]],
        [r, s, y + to[1][2] - before[1][2]],
      ];
    }
  }

  private checkPaint(fill: NodeState['fills'][number]): void {
    if (fill.type !== 'IMAGE') return;
    refuseUnknownKeys('set_fills', fill, [
      'type',
      'scaleMode',
      'imageHash',
      'imageTransform',
      'scalingFactor',
      'rotation',
      'filters',
      'visible',
      'opacity',
      'blendMode',
    ]);
    if (!['FILL', 'FIT', 'CROP', 'TILE'].includes(fill.scaleMode)) {
      throw new Error(`in set_fills: Invalid scaleMode "${fill.scaleMode}"`);
    }
    if (fill.imageTransform && fill.scaleMode !== 'CROP') {
      throw new Error('in set_fills: imageTransform only with scaleMode CROP');
    }
    if (fill.rotation && (fill.scaleMode === 'CROP' || fill.rotation % 90 !== 0)) {
      throw new Error('in set_fills: rotation only in steps of 90, and not with scaleMode CROP');
    }
    if (!this.parts.scene.images.has(fill.imageHash ?? ''))
      throw new Error('in set_fills: unknown image hash');
  }

  private async export(id: string, settings: ExportSettings): Promise<Uint8Array> {
    const { scene } = this.parts;
    refuseUnknownKeys('exportAsync', settings, [
      'format',
      'contentsOnly',
      'useAbsoluteBounds',
      'suffix',
      'constraint',
      'colorProfile',
    ]);
    if (settings.format !== 'PNG') throw new Error('only PNG is simulated');
    const seen = scene.renderBox(id);
    if (!seen) {
      throw new Error('in exportAsync: Failed to export node. This node may not have any visible layers.');
    }
    scene.work.exports++;
    const box = settings.useAbsoluteBounds ? scene.box(id) : seen;
    const { type, value } = settings.constraint ?? { type: 'SCALE', value: 1 };
    if (!(value > 0)) throw new Error('in exportAsync: constraint.value must be greater than 0');
    const asked = type === 'SCALE' ? value : value / (type === 'WIDTH' ? box.width : box.height);
    const { pixels, scale: largest } = scene.exportLimits;
    if (asked > largest) throw new Error(`in exportAsync: scale must be at most ${largest}`);
    const scale = Math.min(asked, Math.sqrt(pixels / (box.width * box.height)));
    const size = {
      width: Math.max(1, Math.round(box.width * scale)),
      height: Math.max(1, Math.round(box.height * scale)),
    };
    const data = await render(scene, id, box, size);
    // The document is in Display P3: only an export in sRGB has the colours that the companion works in.
    if (settings.colorProfile !== 'SRGB') for (let i = 0; i < data.length; i += 4) data[i] = data[i]! * 0.9;
    return new Uint8Array(
      await sharp(data, { raw: { ...size, channels: 4 } })
        .png()
        .toBuffer(),
    );
  }
}

interface ExportSettings {
  readonly format: string;
  readonly useAbsoluteBounds?: boolean;
  readonly constraint?: { readonly type: 'SCALE' | 'WIDTH' | 'HEIGHT'; readonly value: number };
  readonly colorProfile?: string;
}

function dynamicPage(what: string, instead: string): Error {
  return new Error(`Cannot call ${what} with documentAccess: dynamic-page. Use ${instead} instead.`);
}

function refuseUnknownKeys(doing: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).filter((key) => !known.includes(key));
  if (unknown.length > 0)
    throw new Error(`in ${doing}: Unrecognized key(s) in object: ${unknown.join(', ')}`);
}

function effectsOf({ effectReach, hasInnerShadow }: NodeState): object[] {
  return [
    ...(effectReach > 0 ? [{ type: 'DROP_SHADOW', visible: true, radius: effectReach }] : []),
    ...(hasInnerShadow ? [{ type: 'INNER_SHADOW', visible: true, radius: 4 }] : []),
  ];
}

function descendants(scene: Scene, id: string): string[] {
  return scene.get(id).children.flatMap((child) => [child, ...descendants(scene, child)]);
}

function orderOf(scene: Scene): Map<string, number> {
  return new Map(descendants(scene, scene.page).map((id, i) => [id, i]));
}

/** `inner` in the coordinates of `outer`. */
function within(outer: Transform, inner: Transform): Transform {
  const [[a, c], [b, d]] = outer;
  const determinant = a * d - b * c;
  const linear: Transform = [
    [d / determinant, -c / determinant, 0],
    [-b / determinant, a / determinant, 0],
  ];
  const origin = apply(linear, { x: inner[0][2] - outer[0][2], y: inner[1][2] - outer[1][2] });
  const across = apply(linear, { x: inner[0][0], y: inner[1][0] });
  const down = apply(linear, { x: inner[0][1], y: inner[1][1] });
  return [
    [across.x, down.x, origin.x],
    [across.y, down.y, origin.y],
  ];
}

/**
 * Read from the file's own header, since `createImage` returns synchronously. PNG, and JPEG by its frame
 * header.
 */
function imageSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length > 24 && view.getUint32(0) === 0x89504e47) {
    return { width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  for (let at = 2; at + 9 < bytes.length; at += 2 + view.getUint16(at + 2)) {
    const marker = bytes[at + 1]!;
    if (marker >= 0xc0 && marker <= 0xc3) {
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
  }
  return undefined;
}
