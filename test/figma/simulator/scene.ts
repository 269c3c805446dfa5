/**
 * A document as Figma keeps it: nodes, their geometry, images, and the steps of undo. Simulated, not Figma
 * itself.
 */

export type Transform = readonly [readonly [number, number, number], readonly [number, number, number]];

export type NodeType =
  | 'PAGE'
  | 'FRAME'
  | 'GROUP'
  | 'SECTION'
  | 'COMPONENT'
  | 'COMPONENT_SET'
  | 'INSTANCE'
  | 'BOOLEAN_OPERATION'
  | 'RECTANGLE'
  | 'ELLIPSE'
  | 'TEXT';

interface PaintLooks {
  readonly visible?: boolean;
  readonly opacity?: number;
  readonly blendMode?: string;
}

export interface ImagePaint extends PaintLooks {
  readonly type: 'IMAGE';
  readonly imageHash: string | null;
  readonly scaleMode: 'FILL' | 'FIT' | 'CROP' | 'TILE';
  readonly imageTransform?: Transform;
  readonly scalingFactor?: number;
  /** Of FILL, FIT and TILE, in steps of 90 degrees. */
  readonly rotation?: number;
  readonly filters?: Readonly<Record<string, number>>;
}

export interface SolidPaint extends PaintLooks {
  readonly type: 'SOLID';
  readonly color: { readonly r: number; readonly g: number; readonly b: number };
}

export type Paint = SolidPaint | ImagePaint;

/** Everything about a node that can change; undo restores it. */
export interface NodeState {
  readonly id: string;
  readonly type: NodeType;
  name: string;
  parent: string | undefined;
  children: readonly string[];
  removed: boolean;
  visible: boolean;
  opacity: number;
  width: number;
  height: number;
  relativeTransform: Transform;
  fills: readonly Paint[];
  blendMode: string;
  strokeWeight: number;
  /** How far a shadow extends past the node. */
  effectReach: number;
  /** An inner shadow. */
  hasInnerShadow: boolean;
  /** Clockwise from the upper-left corner. */
  radii: readonly [number, number, number, number];
  isMask: boolean;
  clipsContent: boolean;
  layoutMode: 'NONE' | 'HORIZONTAL' | 'VERTICAL';
  layoutPositioning: 'AUTO' | 'ABSOLUTE';
  itemSpacing: number;
  padding: number;
  pluginData: Readonly<Record<string, string>>;
}

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export const unmoved: Transform = [
  [1, 0, 0],
  [0, 1, 0],
];

const containers: readonly NodeType[] = [
  'PAGE',
  'FRAME',
  'GROUP',
  'SECTION',
  'COMPONENT',
  'COMPONENT_SET',
  'INSTANCE',
  'BOOLEAN_OPERATION',
];
/** Sized by their children, and without coordinates of their own. */
const shrinkWrapped: readonly NodeType[] = ['GROUP', 'BOOLEAN_OPERATION'];

export function takesChildren(type: NodeType): boolean {
  return containers.includes(type);
}

export class Scene {
  readonly states = new Map<string, NodeState>();
  readonly images = new Map<string, Uint8Array>();
  /** How many more images can be fetched before the connection drops. */
  imageLoads = Number.POSITIVE_INFINITY;
  /**
   * Whether Figma follows the orientation that a photo names: nothing public says, so a plugin has to survive
   * both.
   */
  followsOrientation = false;
  /**
   * The REST API makes exports of more pixels smaller, and refuses scales over 4; for plugins no limit is
   * documented. A plugin has to survive both.
   */
  exportLimits = { pixels: 32_000_000, scale: Number.POSITIVE_INFINITY };
  /** What the plugin has asked for: reads of properties, calls of methods on nodes, and exports. */
  work = { reads: 0, exports: 0 };
  /** Plugin data of the document itself. */
  readonly documentData = new Map<string, string>();
  readonly page: string;
  selection: readonly string[] = [];
  private count = 0;
  private steps: string[] = [];

  constructor() {
    this.page = this.create('PAGE', {}).id;
    this.startPlugin();
  }

  create(type: NodeType, given: Partial<NodeState>): NodeState {
    const state: NodeState = {
      type,
      name: type,
      parent: undefined,
      children: [],
      removed: false,
      visible: true,
      opacity: 1,
      width: 100,
      height: 100,
      relativeTransform: unmoved,
      fills: [],
      blendMode: type === 'RECTANGLE' ? 'NORMAL' : 'PASS_THROUGH',
      strokeWeight: 0,
      effectReach: 0,
      hasInnerShadow: false,
      radii: [0, 0, 0, 0],
      isMask: false,
      clipsContent: type === 'FRAME',
      layoutMode: 'NONE',
      layoutPositioning: 'AUTO',
      itemSpacing: 0,
      padding: 0,
      pluginData: {},
      ...given,
      id: `${type === 'PAGE' ? 0 : 1}:${++this.count}`,
    };
    this.states.set(state.id, state);
    return state;
  }

  /** Creates a node inside another, as a person does. */
  add(parent: string, type: NodeType, given: Partial<NodeState> = {}): string {
    const { id } = this.create(type, given);
    this.insert(parent, this.get(parent).children.length, id);
    return id;
  }

  get(id: string): NodeState {
    const state = this.states.get(id);
    if (!state) throw new Error(`no node ${id}`);
    return state;
  }

  insert(parent: string, index: number, id: string): void {
    const state = this.get(id);
    if (state.parent !== undefined) {
      const before = this.get(state.parent);
      before.children = before.children.filter((child) => child !== id);
      if (before.id !== parent) this.dropIfEmpty(before);
    }
    const target = this.get(parent);
    const children = [...target.children];
    children.splice(index, 0, id);
    target.children = children;
    state.parent = parent;
  }

  remove(id: string): void {
    const state = this.get(id);
    for (const child of state.children) this.remove(child);
    state.removed = true;
    if (state.parent === undefined) return;
    const parent = this.get(state.parent);
    parent.children = parent.children.filter((child) => child !== id);
    this.dropIfEmpty(parent);
  }

  /** Figma has no empty groups. */
  private dropIfEmpty(state: NodeState): void {
    if (state.type === 'GROUP' && state.children.length === 0 && !state.removed) this.remove(state.id);
  }

  ancestors(id: string): NodeState[] {
    const found: NodeState[] = [];
    for (let at = this.get(id).parent; at !== undefined; at = this.get(at).parent) found.push(this.get(at));
    return found;
  }

  /** The nearest ancestor with coordinates of its own. */
  container(id: string): NodeState {
    return this.ancestors(id).find(({ type }) => !shrinkWrapped.includes(type))!;
  }

  size(id: string): { width: number; height: number } {
    const state = this.get(id);
    if (!shrinkWrapped.includes(state.type)) return { width: state.width, height: state.height };
    const { width, height } = this.childrenBox(id);
    return { width, height };
  }

  /** Relative to the container; a layout's children are where the layout puts them. */
  relative(id: string): Transform {
    const state = this.get(id);
    if (shrinkWrapped.includes(state.type)) {
      const { x, y } = this.childrenBox(id);
      return [
        [1, 0, x],
        [0, 1, y],
      ];
    }
    const parent = state.parent === undefined ? undefined : this.get(state.parent);
    if (!parent || parent.layoutMode === 'NONE' || state.layoutPositioning === 'ABSOLUTE') {
      return state.relativeTransform;
    }
    let offset = parent.padding;
    for (const sibling of parent.children) {
      const other = this.get(sibling);
      if (other.layoutPositioning === 'ABSOLUTE') continue;
      const box = boxOf(linear(other.relativeTransform), this.size(sibling));
      if (sibling === id) {
        const along = parent.layoutMode === 'HORIZONTAL';
        const x = along ? offset : parent.padding;
        const y = along ? parent.padding : offset;
        const [[a, c], [b, d]] = state.relativeTransform;
        return [
          [a, c, x - box.x],
          [b, d, y - box.y],
        ];
      }
      offset += (parent.layoutMode === 'HORIZONTAL' ? box.width : box.height) + parent.itemSpacing;
    }
    return state.relativeTransform;
  }

  absolute(id: string): Transform {
    if (this.get(id).type === 'PAGE') return unmoved;
    return times(this.absolute(this.container(id).id), this.relative(id));
  }

  /** Where a group's children lie in its container. */
  private childrenBox(id: string): Rect {
    const boxes = this.get(id).children.map((child) => boxOf(this.relative(child), this.size(child)));
    return boxes.length > 0 ? boxes.reduce(around) : { x: 0, y: 0, width: 0, height: 0 };
  }

  box(id: string): Rect {
    return boxOf(this.absolute(id), this.size(id));
  }

  isShown(id: string): boolean {
    const isIn = (state: NodeState) => state.visible && !state.removed;
    return isIn(this.get(id)) && this.ancestors(id).every(isIn);
  }

  /** With strokes and effects, and without what is clipped; undefined where nothing is seen. */
  renderBox(id: string): Rect | undefined {
    if (!this.isShown(id)) return undefined;
    const { strokeWeight, effectReach } = this.get(id);
    const reach = strokeWeight / 2 + effectReach;
    const { x, y, width, height } = this.box(id);
    let seen: Rect | undefined = {
      x: x - reach,
      y: y - reach,
      width: width + 2 * reach,
      height: height + 2 * reach,
    };
    for (const ancestor of this.ancestors(id)) {
      if (ancestor.clipsContent && ancestor.type !== 'PAGE')
        seen = seen && shared(seen, this.box(ancestor.id));
    }
    return seen;
  }

  snapshot(): string {
    return JSON.stringify([...this.states.values()].filter(({ removed }) => !removed));
  }

  startPlugin(): void {
    this.steps = [this.snapshot()];
  }

  /** Makes what the plugin has done so far one undo step. */
  commitUndo(): void {
    const now = this.snapshot();
    if (this.steps.at(-1) !== now) this.steps.push(now);
  }

  /** Returns to the last step, dropping anything uncommitted. */
  undo(): void {
    const now = this.snapshot();
    while (this.steps.length > 1 && this.steps.at(-1) === now) this.steps.pop();
    const kept = new Map((JSON.parse(this.steps.at(-1)!) as NodeState[]).map((state) => [state.id, state]));
    for (const [id, state] of this.states) {
      const before = kept.get(id);
      if (before) Object.assign(state, { parent: undefined }, before);
      else state.removed = true;
    }
  }
}

export function times([[a, c, e], [b, d, f]]: Transform, [[g, i, k], [h, j, l]]: Transform): Transform {
  return [
    [a * g + c * h, a * i + c * j, a * k + c * l + e],
    [b * g + d * h, b * i + d * j, b * k + d * l + f],
  ];
}

export function apply([[a, c, e], [b, d, f]]: Transform, { x, y }: Point): Point {
  return { x: a * x + c * y + e, y: b * x + d * y + f };
}

/** The point that is mapped to `point`. */
export function unapply([[a, c, e], [b, d, f]]: Transform, point: Point): Point {
  const determinant = a * d - b * c;
  const [x, y] = [point.x - e, point.y - f];
  return { x: (d * x - c * y) / determinant, y: (a * y - b * x) / determinant };
}

export function corners({ width, height }: { width: number; height: number }): Point[] {
  return [
    { x: 0, y: 0 },
    { x: width, y: 0 },
    { x: width, y: height },
    { x: 0, y: height },
  ];
}

export function boxOf(transform: Transform, size: { width: number; height: number }): Rect {
  const points = corners(size).map((corner) => apply(transform, corner));
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y };
}

function linear([[a, c], [b, d]]: Transform): Transform {
  return [
    [a, c, 0],
    [b, d, 0],
  ];
}

function around(a: Rect, b: Rect): Rect {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  const right = Math.max(a.x + a.width, b.x + b.width);
  const bottom = Math.max(a.y + a.height, b.y + b.height);
  return { x, y, width: right - x, height: bottom - y };
}

function shared(a: Rect, b: Rect): Rect | undefined {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)];
  const width = Math.min(a.x + a.width, b.x + b.width) - x;
  const height = Math.min(a.y + a.height, b.y + b.height) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : undefined;
}
