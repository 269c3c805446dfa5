/** What the sandbox, which sees the document, and the panel, which sees the companion, tell each other. */
import type { Bounds, Size } from '../../shared/bounds.ts';
import type { Matrix } from './matrix.ts';

/** What is selected in the document: thousands of nodes, at times. */
export interface Selection {
  readonly count: number;
  /** The first of them, as many as the panel can do something with. */
  readonly nodes: readonly SelectedNode[];
}

/** A selected node, as the panel shows it. */
export interface SelectedNode {
  readonly id: string;
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** Why it cannot be exported; empty if it can. */
  readonly obstacle: string;
  /** The recipe that was kept with it, if this plugin made it and nothing else is selected. */
  readonly recipe: string;
}

/** The picture of a node and where it lies on the page. */
export interface ExportedNode {
  readonly id: string;
  readonly name: string;
  /** PNG, sRGB, of the whole of `bounds`. */
  readonly png: Uint8Array;
  /** The node's absolute bounding box, upright on the page, in page units. */
  readonly bounds: Bounds;
}

/** The picture of a node in all the pixels that there are of it. */
export interface NodePicture {
  /** PNG, JPEG, GIF or WebP. */
  readonly file: Uint8Array;
  /** For a file that is the node's own fill; an export shows the node's bounds, and nothing else. */
  readonly fill?: {
    /** The size of the image in pixels, by Figma. */
    readonly size: Size;
    /** What the node shows of it, in pixels and fractions of them. */
    readonly shown: Bounds;
  };
}

/** The node that is edited, as it lay on the page when it was exported. */
export interface Source {
  readonly id: string;
  readonly bounds: Bounds;
  /** From the node's own coordinates to the page's. */
  readonly transform: Matrix;
  readonly width: number;
  readonly height: number;
  /** Of its corners, from the upper left one clockwise; absent where all are sharp. */
  readonly radii?: readonly [number, number, number, number];
}

export type CaptureChoice =
  | { readonly kind: 'node'; readonly id: string; readonly maskId?: string }
  /** What a result was made of: its source, and its own mask. */
  | { readonly kind: 'again'; readonly resultId: string };

export interface CaptureInput {
  readonly choice: CaptureChoice;
  /** The fill's own file could not be read: the node is exported. */
  readonly exportOnly: boolean;
}

export interface CapturedNode {
  readonly source: Source;
  readonly picture: NodePicture;
  /** Pieces whose alpha is the mask; empty for the whole node. */
  readonly masks: readonly ExportedNode[];
}

/** An encoded piece of a result, at most 4096 pixels a side. */
export interface Tile {
  readonly picture: Uint8Array;
  /**
   * Where it lies over the source, in page units from the upper left corner of the source's bounds. It may reach beyond
   * them by a part of a pixel, and is cut there.
   */
  readonly bounds: Bounds;
}

export interface Placing {
  readonly name: string;
  readonly source: Source;
  /** `node`: the picture is all of the source, and is cut to the source's own outline. */
  readonly shape: 'node' | 'region';
  /** Later ones lie above earlier ones, which they may overlap. */
  readonly tiles: readonly Tile[];
  /** White with the mask as its alpha, over all tiles; absent where no mask was used. */
  readonly mask?: Tile;
  /** Kept with the result. */
  readonly recipe: string;
  /** The node that was used as mask: it would cover the result, so it is hidden. */
  readonly hideId?: string;
}

export interface SideBySide {
  readonly source: Source;
  readonly pictures: readonly {
    readonly name: string;
    readonly tiles: readonly Tile[];
    readonly recipe: string;
  }[];
}

export type SandboxCalls = {
  readStored(key: string): Promise<string | undefined>;
  store(input: { readonly key: string; readonly value: string }): Promise<void>;
  capture(input: CaptureInput): Promise<CapturedNode>;
  /** How many pixels the picture of a node has; undefined where it has none. */
  measure(id: string): Promise<Size | undefined>;
  export(ids: readonly string[]): Promise<readonly ExportedNode[]>;
  /** Puts a result over its source. Answers what the person should know, or nothing. */
  place(placing: Placing): Promise<string>;
  /** Puts whole pictures in a row, right of everything that the source lies in. */
  placeSideBySide(input: SideBySide): Promise<string>;
  selection(): Promise<Selection>;
};

export interface SandboxEvents {
  readonly selection: Selection;
}
