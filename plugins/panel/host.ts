import type { Bounds } from '../../shared/bounds.ts';
import type { CodedError } from '../../shared/errors.ts';
import type { EditSummary } from '../../shared/protocol/answers.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';
import type { EditResult } from '../../shared/protocol/result.ts';

/** Pixels with straight alpha: RGBA U8, `[height, width, 4]`. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The same with 16 bits a channel: RGBA U16, 0..65535. */
export interface DeepPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint16Array<ArrayBuffer>;
}

export type Pixels = Picture | DeepPicture;

/** A picture that the host cannot decode: the companion does. */
export interface EncodedFile {
  readonly encoding: 'png' | 'jpg' | 'webp';
  readonly bytes: Uint8Array;
}

/** What the person wants edited, at the moment of the run. */
export interface Capture {
  /** Absent where there is no document: the edit then makes a whole new picture. */
  readonly edit?: Pixels;
  /** U8 `[height, width]` of `edit`, 255 = regenerate; absent for the whole picture. */
  readonly mask?: Uint8Array;
  /** Where the upper left pixel of `edit` lies in the document. */
  readonly origin: { readonly left: number; readonly top: number };
  /** Which document and layer this came from, in the host's own words; its placement gets it back. */
  readonly target?: string;
  /** What the person should know of how the document was read. */
  readonly note?: string;
}

export interface Reference {
  readonly id: string;
  readonly name: string;
  /** URL of a small image for the list; empty where there is none. */
  readonly thumbnail: string;
  readonly picture: Picture | EncodedFile;
}

/** A result on its way into the document. */
export interface Placement {
  /** Of the companion's history. */
  readonly editID: string;
  readonly name: string;
  /** Its alpha is the feathered mask. */
  readonly layer: Pixels;
  /** In document pixels. */
  readonly bounds: Bounds;
  readonly recipe: EditResult;
  /** What was asked for: with the recipe, everything to run it again. */
  readonly request: EditRequest;
  readonly target?: string;
}

export interface PlaceOptions {
  /** Takes what the person should know of the placement. */
  readonly report: (note: string) => void;
  /** Whether the person pressed Keep: where results are placed at once, they may still be compared otherwise. */
  readonly isKept: boolean;
}

/** Finds an edit of the past; undefined where the companion keeps it no longer. */
export type FindEdit = (editID: string) => Promise<EditSummary | undefined>;

/** Text that survives a restart of the panel. */
export interface Storage {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/** How hosts differ in what the panel does for them. What only some of them can do is an optional method of `Host`. */
export interface HostCapabilities {
  /**
   * `offered`: results are compared in the panel, and the one that is kept becomes a layer.
   * `placed`: all become layers as soon as they are there, and the host's own undo removes them.
   */
  readonly results: 'offered' | 'placed';
  /** Where the steps of a running edit are seen: in the host's view of the picture, or in the panel itself. */
  readonly previews: 'picture' | 'panel';
  /** The document outlives the panel: an edit that was not finished when the panel closed is offered when it opens again. */
  readonly keepsDocument: boolean;
}

/** What the panel needs of the program that it runs in. */
export interface Host {
  readonly capabilities: HostCapabilities;
  /** Where the companion may listen, in the order to be tried, without a slash at the end. */
  readonly companions: readonly string[];
  readonly storage: Storage;
  /**
   * @param again whether what was captured last is meant, whatever is selected by now
   * @throws CodedError if there is nothing to edit
   */
  capture(again?: boolean): Promise<Capture>;
  /**
   * Brings a result into the document: its variants, or only the chosen one where the host has no place for more.
   * @throws CodedError if it cannot; the result is then kept and offered again
   */
  place(variants: readonly Placement[], chosen: number, options: PlaceOptions): Promise<void>;
  /** Asks for pictures; empty if the person changed their mind. */
  pickReferences(): Promise<readonly Reference[]>;
  /** Takes what is selected in the document as references, where a host has such a selection. */
  takeReferences?(): Promise<readonly Reference[]>;
  /** Why nothing answers on any address, where the host can tell more than that; undefined where it cannot. */
  explainSilence?(): Promise<CodedError | undefined>;
  /** The request that the selected layer was made by; undefined where it was not made here. */
  readRequest?(find: FindEdit): Promise<EditRequest | undefined>;
}
