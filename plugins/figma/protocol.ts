/** The messages between the sandbox, which sees the document, and the panel, which sees the companion. */
import type { Bounds, Size } from '../../shared/bounds.ts';
import type { Matrix } from './matrix.ts';

/** The document's selection, which may be thousands of nodes. */
export interface Selection {
  readonly count: number;
  /** The first of them, as many as the panel can use. */
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
  /** The recipe stored with it, if this plugin made it and nothing else is selected. */
  readonly recipe: string;
}

/** A node's picture and its position on the page. */
export interface ExportedNode {
  readonly id: string;
  readonly name: string;
  /** PNG, sRGB, covering all of `bounds`. */
  readonly png: Uint8Array;
  /** The node's absolute bounding box, upright on the page, in page units. */
  readonly bounds: Bounds;
}

/** A node's picture at full resolution. */
export interface NodePicture {
  /** PNG, JPEG, GIF or WebP. */
  readonly file: Uint8Array;
  /** Present if the file is the node's own fill; an export shows exactly the node's bounds. */
  readonly fill?: {
    /** The image's size in pixels, as Figma reports it. */
    readonly size: Size;
    /** The part of it the node shows, in fractional pixels. */
    readonly shown: Bounds;
  };
}

/** The edited node, as it lay on the page when exported. */
export interface Source {
  readonly id: string;
  readonly bounds: Bounds;
  /** From the node's own coordinates to the page's. */
  readonly transform: Matrix;
  readonly width: number;
  readonly height: number;
  /** Its corner radii, clockwise from the upper left; absent if all corners are sharp. */
  readonly radii?: readonly [number, number, number, number];
}

export type CaptureChoice =
  | { readonly kind: 'node'; readonly id: string; readonly maskId?: string }
  /** What a result was made from: its source, and its own mask. */
  | { readonly kind: 'again'; readonly resultId: string };

export interface CaptureInput {
  readonly choice: CaptureChoice;
  /** Set if the fill's own file couldn't be read: the node is exported instead. */
  readonly exportOnly: boolean;
}

export interface CapturedNode {
  readonly source: Source;
  readonly picture: NodePicture;
  /** Exports whose alpha is the mask; empty for the whole node. */
  readonly masks: readonly ExportedNode[];
}

/** An encoded tile of a result, at most 4096 pixels a side. */
export interface Tile {
  readonly picture: Uint8Array;
  /**
   * Where it lies over the source, in page units from the upper-left corner of the source's bounds. It may
   * extend past them by a fraction of a pixel, and is clipped there.
   */
  readonly bounds: Bounds;
}

export interface Placing {
  readonly name: string;
  readonly source: Source;
  /** `node`: the picture covers all of the source, and is clipped to the source's own outline. */
  readonly shape: 'node' | 'region';
  /** Later tiles lie above earlier ones, and may overlap them. */
  readonly tiles: readonly Tile[];
  /** White with the mask as its alpha, over all tiles; absent if no mask was used. */
  readonly mask?: Tile;
  /** Stored with the result. */
  readonly recipe: string;
  /** The node used as the mask, to be hidden because it would cover the result. */
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
  /** The pixel size of a node's picture; undefined if it has none. */
  measure(id: string): Promise<Size | undefined>;
  export(ids: readonly string[]): Promise<readonly ExportedNode[]>;
  /** Places a result over its source. Returns a note for the person, or an empty string. */
  place(placing: Placing): Promise<string>;
  /** Places whole pictures in a row, to the right of everything that contains the source. */
  placeSideBySide(input: SideBySide): Promise<string>;
  selection(): Promise<Selection>;
};

export interface SandboxEvents {
  readonly selection: Selection;
}
