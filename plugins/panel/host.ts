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

/** The same at 16 bits per channel: RGBA U16, 0..65535. */
export interface DeepPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint16Array<ArrayBuffer>;
}

export type Pixels = Picture | DeepPicture;

/** A picture the host cannot decode; the companion does. */
export interface EncodedFile {
  readonly encoding: 'png' | 'jpg' | 'webp';
  readonly bytes: Uint8Array;
}

/** What to edit, captured when the run starts. */
export interface Capture {
  /** Absent without a document: the edit then creates a whole new picture. */
  readonly edit?: Pixels;
  /** U8 `[height, width]`, the size of `edit`, 255 = regenerate; absent for the whole picture. */
  readonly mask?: Uint8Array;
  /** Where the upper-left pixel of `edit` lies in the document. */
  readonly origin: { readonly left: number; readonly top: number };
  /** The source document and layer, in the host's own format; passed back with the placement. */
  readonly target?: string;
  /** What the person should know about how the document was read. */
  readonly note?: string;
}

export interface Reference {
  readonly id: string;
  readonly name: string;
  /** URL of a small image for the list; empty if there is none. */
  readonly thumbnail: string;
  readonly picture: Picture | EncodedFile;
}

/** A result on its way into the document. */
export interface Placement {
  /** The edit's ID in the companion's history. */
  readonly editID: string;
  readonly name: string;
  /** Its alpha is the feathered mask. */
  readonly layer: Pixels;
  /** In document pixels. */
  readonly bounds: Bounds;
  readonly recipe: EditResult;
  /** The request: together with the recipe, all it takes to run the edit again. */
  readonly request: EditRequest;
  readonly target?: string;
}

export interface PlaceOptions {
  /** Reports what the person should know about the placement. */
  readonly report: (note: string) => void;
  /**
   * Whether the person pressed Keep. If not, in a host that places results at once, they can still be
   * compared.
   */
  readonly isKept: boolean;
}

/** Finds a past edit; undefined if the companion no longer keeps it. */
export type FindEdit = (editID: string) => Promise<EditSummary | undefined>;

/** Text that survives a restart of the panel. */
export interface Storage {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/** How the panel adapts to each host. What only some hosts can do is an optional method of `Host`. */
export interface HostCapabilities {
  /**
   * `offered`: results are compared in the panel, and the kept one becomes a layer.
   * `placed`: all results become layers as they arrive, and the host's own undo removes them.
   */
  readonly results: 'offered' | 'placed';
  /** Where a running edit's previews appear: in the host's view of the picture, or in the panel. */
  readonly previews: 'picture' | 'panel';
  /** Whether the document outlives the panel: if so, an unfinished edit is offered when the panel reopens. */
  readonly keepsDocument: boolean;
}

/** What the panel needs from the program it runs in. */
export interface Host {
  readonly capabilities: HostCapabilities;
  /** The companion's possible base URLs, in the order to try, without a trailing slash. */
  readonly companions: readonly string[];
  readonly storage: Storage;
  /**
   * @param again whether to reuse the last capture, whatever is selected now
   * @throws CodedError if there is nothing to edit
   */
  capture(again?: boolean): Promise<Capture>;
  /**
   * Places a result in the document: all variants, or only the chosen one if the host has no room for more.
   * @throws CodedError if it cannot; the result is then kept and offered again
   */
  place(variants: readonly Placement[], chosen: number, options: PlaceOptions): Promise<void>;
  /** Asks for reference pictures; empty if the person cancels. */
  pickReferences(): Promise<readonly Reference[]>;
  /** Uses the document's selection as references, in hosts that have one. */
  takeReferences?(): Promise<readonly Reference[]>;
  /** Explains why no address answers, if the host knows more; undefined otherwise. */
  explainSilence?(): Promise<CodedError | undefined>;
  /** The request that made the selected layer; undefined if this plugin didn't make it. */
  readRequest?(find: FindEdit): Promise<EditRequest | undefined>;
}
