import type { Bounds, EditResult } from '../../shared/events.ts';

/** Pixels with straight alpha: RGBA U8, `[height, width, 4]`. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** What the person wants edited, at the moment of the run. */
export interface Capture {
  /** Absent where there is no document: the edit then makes a whole new picture. */
  readonly edit?: Picture;
  /** U8 `[height, width]` of `edit`, 255 = regenerate; absent for the whole picture. */
  readonly mask?: Uint8Array;
  /** Where the upper left pixel of `edit` lies in the document. */
  readonly origin: { readonly left: number; readonly top: number };
}

export interface Reference {
  readonly id: string;
  readonly name: string;
  /** URL of a small image for the list. */
  readonly thumbnail: string;
  readonly picture: Picture;
}

/** A result on its way into the document. */
export interface Placement {
  readonly name: string;
  /** Its alpha is the feathered mask. */
  readonly layer: Picture;
  /** In document pixels. */
  readonly bounds: Bounds;
  readonly recipe: EditResult;
}

/** Text that survives a restart of the panel. */
export interface Storage {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/** What the panel needs of the program that it runs in. */
export interface Host {
  /** Where the companion listens, without a slash at the end. */
  readonly companion: string;
  readonly storage: Storage;
  /** @throws CodedError if there is nothing to edit */
  capture(): Promise<Capture>;
  place(placement: Placement): Promise<void>;
  /** Asks for pictures; empty if the person changed their mind. */
  pickReferences(): Promise<readonly Reference[]>;
}
