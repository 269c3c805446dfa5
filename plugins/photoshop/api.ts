/// <reference types="@adobe/cc-ext-uxp-types" />
/**
 * The parts of the `photoshop` and `uxp` modules that this plugin calls, and nothing else. Adobe publishes no
 * types for the imaging API, and its `uxp` types lack `storage.secureStorage` and type `entrypoints.setup` as
 * taking lists. The test simulator implements these interfaces too.
 */
import type { secureStorage } from 'uxp';

/** Right and bottom are exclusive. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export type Samples = Uint8Array | Uint16Array | Float32Array;

export interface PhotoshopImageData {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly componentSize: 8 | 16 | 32;
  /** 16-bit samples range from 0 to 32768. */
  getData(options: { readonly chunky: true }): Promise<Samples>;
  dispose(): void;
}

export interface Read {
  readonly imageData: PhotoshopImageData;
  /** Trimmed to the area that has pixels. */
  readonly sourceBounds: Rectangle;
}

export interface GetPixels {
  readonly documentID: number;
  /** Absent for the composite. */
  readonly layerID?: number;
  readonly sourceBounds: Rectangle;
  readonly targetSize?: { readonly width?: number; readonly height?: number };
  readonly colorSpace: 'RGB';
  readonly colorProfile: string;
  readonly componentSize: 8 | 16;
  readonly applyAlpha?: boolean;
}

export interface Imaging {
  getPixels(options: GetPixels): Promise<Read>;
  putPixels(options: {
    readonly documentID: number;
    readonly layerID: number;
    readonly imageData: PhotoshopImageData;
    readonly replace: boolean;
    readonly targetBounds: { readonly left: number; readonly top: number };
  }): Promise<void>;
  getLayerMask(options: {
    readonly documentID: number;
    readonly layerID: number;
    readonly kind: 'user';
  }): Promise<Read>;
  putLayerMask(options: {
    readonly documentID: number;
    readonly layerID: number;
    readonly kind: 'user';
    readonly imageData: PhotoshopImageData;
    readonly replace: boolean;
    readonly targetBounds: { readonly left: number; readonly top: number };
  }): Promise<void>;
  getSelection(options: { readonly documentID: number; readonly sourceBounds: Rectangle }): Promise<Read>;
  putSelection(options: {
    readonly documentID: number;
    readonly imageData: PhotoshopImageData;
    readonly replace: boolean;
    readonly targetBounds: { readonly left: number; readonly top: number };
  }): Promise<void>;
  createImageDataFromBuffer(
    samples: Samples,
    options: {
      readonly width: number;
      readonly height: number;
      readonly components: number;
      readonly chunky: true;
      readonly colorSpace: 'RGB' | 'Grayscale';
      readonly colorProfile: string;
    },
  ): Promise<PhotoshopImageData>;
  encodeImageData(options: {
    readonly imageData: PhotoshopImageData;
    readonly base64: true;
  }): Promise<string>;
}

export interface Layer {
  readonly id: number;
  readonly name: string;
  readonly kind: string;
  visible: boolean;
  allLocked: boolean;
  isClippingMask: boolean;
  /** 0 to 100. */
  readonly opacity: number;
  readonly blendMode: string;
  readonly boundsNoEffects: Rectangle;
  /** Includes effects such as drop shadows. */
  readonly bounds: Rectangle;
  /** The group that contains it; null at the top level. */
  readonly parent: Layer | null;
  /** A group's layers, topmost first. */
  readonly layers?: readonly Layer[];
  move(relative: Layer, placement: string): Promise<void>;
  duplicate(): Promise<Layer>;
  delete(): Promise<void>;
  /** Merges the selected layers, whichever layer it is called on: a single group becomes one pixel layer. */
  merge(): Promise<Layer>;
}

export interface Channel {
  readonly name: string;
  readonly kind: string;
}

export interface PhotoshopDocument {
  readonly id: number;
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly mode: string;
  readonly bitsPerChannel: string;
  readonly layers: readonly Layer[];
  readonly activeLayers: readonly Layer[];
  readonly selection: { readonly bounds: Rectangle | null };
  /** While it is on, painting changes the mask, and there is no selection. */
  readonly quickMaskMode: boolean;
  /** Colour channels first, then saved selections and spot colours. */
  readonly channels: readonly Channel[];
  createPixelLayer(options: { readonly name: string }): Promise<Layer>;
  createLayerGroup(options: { readonly name: string; readonly fromLayers: readonly Layer[] }): Promise<Layer>;
}

export interface ExecutionContext {
  readonly isCancelled: boolean;
  readonly hostControl: {
    suspendHistory(options: { readonly documentID: number; readonly name: string }): Promise<number>;
    resumeHistory(suspension: number, commit: boolean): Promise<void>;
  };
}

/** An action descriptor, as `batchPlay` takes and returns it. */
export type Descriptor = Readonly<Record<string, unknown>>;

export interface PhotoshopModule {
  readonly app: {
    /** Null while no document is open. */
    activeDocument: PhotoshopDocument | null;
    readonly documents: readonly PhotoshopDocument[];
  };
  readonly core: {
    executeAsModal<T>(
      work: (context: ExecutionContext) => Promise<T>,
      options: { readonly commandName: string },
    ): Promise<T>;
  };
  readonly action: {
    batchPlay(commands: readonly Descriptor[], options: object): Promise<readonly Descriptor[]>;
    addNotificationListener(events: readonly string[], listener: () => void): Promise<void>;
  };
  readonly imaging: Imaging;
  readonly constants: {
    readonly DocumentMode: Readonly<Record<'RGB' | 'GRAYSCALE' | 'LAB' | 'CMYK', string>>;
    readonly BitsPerChannelType: Readonly<Record<'EIGHT' | 'SIXTEEN' | 'THIRTYTWO', string>>;
    readonly ElementPlacement: { readonly PLACEBEFORE: string };
    readonly LayerKind: { readonly GROUP: string };
    readonly ChannelType: Readonly<Record<'MASKEDAREA' | 'SELECTEDAREA', string>>;
  };
}

export interface PanelEntry {
  create(root: HTMLElement): void;
  destroy(): void;
  /** The panel's flyout menu. */
  readonly menuItems: readonly { readonly id: string; readonly label: string }[];
  invokeMenu(id: string): void;
}

export interface PickedFile {
  readonly name: string;
  read(options: { readonly format: symbol }): Promise<ArrayBuffer>;
}

export interface UXPModule {
  readonly entrypoints: {
    setup(points: { readonly panels: Readonly<Record<string, PanelEntry>> }): void;
  };
  readonly storage: {
    readonly secureStorage: Pick<typeof secureStorage, 'getItem' | 'setItem'>;
    readonly formats: { readonly binary: symbol };
    readonly localFileSystem: {
      getFileForOpening(options: {
        readonly types: readonly string[];
        readonly allowMultiple: true;
      }): Promise<readonly PickedFile[] | null | undefined>;
    };
  };
}
