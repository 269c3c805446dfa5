/** A plugin's access to pixels, rejecting what Photoshop rejects. */
import type {
  GetPixels,
  Imaging,
  PhotoshopImageData,
  Read,
  Rectangle,
  Samples,
} from '../../../plugins/photoshop/api.ts';
import { channelsOf, quantise, type Space, samples, whiteOf } from './colours.ts';
import {
  asSRGB,
  boundsOf,
  cut,
  flatten,
  fromSRGBPlane,
  heightOf,
  isNothing,
  joined,
  type LayerState,
  maskedPixels,
  type Plane,
  shared,
  trimmed,
  widthOf,
} from './documents.ts';
import { canvasOf, type LentImage, type OpenDocument, PhotoshopError, type Simulator } from './simulator.ts';

function requestedBounds(simulator: Simulator, bounds: Rectangle | undefined, whole: Rectangle): Rectangle {
  if (!bounds) return whole;
  const numbers = [bounds.left, bounds.top, bounds.right, bounds.bottom];
  if (!numbers.every(Number.isInteger) || isNothing(bounds)) {
    simulator.refuse(`the bounds ${numbers.join(', ')} are not a rectangle of pixels`);
  }
  return bounds;
}

/** Nearest neighbour: the quality of scaling isn't under test. */
function scale(data: Samples, components: number, from: [number, number], to: [number, number]): Samples {
  const Kind = data.constructor as new (length: number) => Samples;
  const scaled = new Kind(to[0] * to[1] * components);
  for (let y = 0; y < to[1]; y++) {
    for (let x = 0; x < to[0]; x++) {
      const source = Math.floor((y * from[1]) / to[1]) * from[0] + Math.floor((x * from[0]) / to[0]);
      for (let c = 0; c < components; c++)
        scaled[(y * to[0] + x) * components + c] = data[source * components + c]!;
    }
  }
  return scaled;
}

function allLeaves(layers: readonly LayerState[]): LayerState[] {
  return layers.flatMap((layer) => (layer.kind === 'group' ? allLeaves(layer.children) : [layer]));
}

export function createImaging(simulator: Simulator): Imaging {
  function getPixels(options: GetPixels): Read {
    simulator.call('getPixels');
    const document = simulator.documentOf(options.documentID);
    const { space } = document;
    if (options.colorSpace !== 'RGB') simulator.refuse(`getPixels: no color space ${space.mode} here`);
    if (options.colorProfile !== 'sRGB IEC61966-2.1') simulator.refuse('getPixels: unknown color profile');
    if (options.componentSize !== 8 && options.componentSize !== 16) {
      simulator.refuse('getPixels: the simulator gives 8 or 16 bits');
    }
    const channels = channelsOf[space.mode] + 1;
    let plane: Plane;
    let hasAlpha: boolean;
    if (options.layerID === undefined) {
      const visible = allLeaves(document.state.layers).filter((layer) => layer.visible);
      const whole = shared(joined(visible.map(boundsOf)), canvasOf(document));
      const bounds = shared(requestedBounds(simulator, options.sourceBounds, whole), whole);
      if (isNothing(bounds)) simulator.refuse('getPixels: there are no pixels inside the bounds');
      plane = flatten(document.state.layers, space, bounds);
      hasAlpha = !document.state.layers.some((layer) => layer.isBackground && layer.visible);
    } else {
      const layer = simulator.layerOf(document, options.layerID);
      if (layer.kind === 'group') simulator.refuse('getPixels: a group has no pixels');
      const bounds = shared(
        requestedBounds(simulator, options.sourceBounds, boundsOf(layer)),
        boundsOf(layer),
      );
      // With its mask applied, as public plugins found; if that hides everything, there are no pixels to
      // return.
      const pixels = maskedPixels(layer, space);
      const part = shared(bounds, pixels.bounds);
      if (isNothing(part)) simulator.refuse('getPixels: there are no pixels inside the bounds');
      plane = cut(pixels, channels, part);
      hasAlpha = !layer.isBackground;
    }
    const withAlpha = hasAlpha && !options.applyAlpha;
    const components = withAlpha ? 4 : 3;
    let data = asSRGB(plane, space, options.componentSize, withAlpha);
    let [width, height] = [widthOf(plane.bounds), heightOf(plane.bounds)];
    let sourceBounds = plane.bounds;
    if (options.targetSize) {
      const { targetSize } = options;
      const factor = targetSize.width ? targetSize.width / width : targetSize.height! / height;
      const size: [number, number] = [
        Math.max(1, Math.round(width * factor)),
        Math.max(1, Math.round(height * factor)),
      ];
      data = scale(data, components, [width, height], size);
      [width, height] = size;
      // Relative to the pyramid level, at least half the size: useless as a position in the document.
      const half = (value: number): number => Math.floor(value / 2);
      sourceBounds = {
        left: half(sourceBounds.left),
        top: half(sourceBounds.top),
        right: half(sourceBounds.right),
        bottom: half(sourceBounds.bottom),
      };
    }
    const componentSize = options.componentSize;
    return {
      imageData: simulator.lend({ width, height, components, componentSize, colorSpace: 'RGB', data }),
      sourceBounds,
    };
  }

  function readPlane(plane: Plane, asked: Rectangle | undefined, space: Space): Read {
    const bounds = shared(requestedBounds(simulator, asked, plane.bounds), plane.bounds);
    if (isNothing(bounds)) simulator.refuse('there are no pixels inside the bounds');
    const componentSize = space.depth;
    const [width, height] = [widthOf(bounds), heightOf(bounds)];
    const { data } = cut(plane, 1, bounds);
    return {
      imageData: simulator.lend({
        width,
        height,
        components: 1,
        componentSize,
        colorSpace: 'Grayscale',
        data,
      }),
      sourceBounds: bounds,
    };
  }

  /** A mask or a selection out of image data, which has to be grey and of the document's depth. */
  function greyPlane(
    document: OpenDocument,
    image: PhotoshopImageData,
    at: { readonly left: number; readonly top: number },
  ): Plane {
    const lent = image as LentImage;
    if (lent.components !== 1 || lent.colorSpace !== 'Grayscale')
      simulator.refuse('a mask has one grey component');
    const { width, height } = lent;
    const white = whiteOf(lent.componentSize);
    const { depth } = document.space;
    const data = samples(lent.samples.length, depth);
    for (let i = 0; i < data.length; i++) data[i] = quantise(lent.samples[i]! / white, depth);
    return { bounds: { ...at, right: at.left + width, bottom: at.top + height }, data };
  }

  return {
    getPixels: async (options) => getPixels(options),

    putPixels: async ({ documentID, layerID, imageData, replace, targetBounds: { left, top } }) => {
      const document = simulator.documentOf(documentID);
      simulator.change(document, 'putPixels');
      const layer = simulator.layerOf(document, layerID);
      if (layer.kind !== 'pixel') simulator.refuse(`putPixels: “${layer.name}” is not a pixel layer`);
      if (layer.locked || layer.isBackground) simulator.refuse(`putPixels: “${layer.name}” is locked`);
      const lent = imageData as LentImage;
      const data = lent.samples;
      if (lent.componentSize !== document.space.depth) {
        simulator.refuse(
          `putPixels: ${lent.componentSize} bits do not fit a document of ${document.space.depth}`,
        );
      }
      if (lent.colorSpace !== 'RGB') simulator.refuse('putPixels: the simulator takes RGB');
      if (!replace) simulator.refuse('putPixels: the simulator replaces');
      layer.pixels = {
        bounds: { left, top, right: left + lent.width, bottom: top + lent.height },
        data: fromSRGBPlane(data, lent.components, lent.componentSize, document.space),
      };
    },

    getLayerMask: async ({ documentID, layerID }) => {
      simulator.call('getLayerMask');
      const document = simulator.documentOf(documentID);
      const { mask, name } = simulator.layerOf(document, layerID);
      return readPlane(mask ?? simulator.refuse(`“${name}” has no mask`), undefined, document.space);
    },

    putLayerMask: async ({ documentID, layerID, imageData, replace, targetBounds }) => {
      const document = simulator.documentOf(documentID);
      simulator.change(document, 'putLayerMask');
      const layer = simulator.layerOf(document, layerID);
      if (layer.isBackground) simulator.refuse('putLayerMask: the background has no mask');
      if (!layer.mask && !replace) simulator.refuse('putLayerMask: there is no mask to add to');
      if (!layer.mask && simulator.masksMustExist) simulator.refuse('putLayerMask: the layer has no mask');
      layer.mask = greyPlane(document, imageData, targetBounds);
    },

    getSelection: async ({ documentID, sourceBounds }) => {
      simulator.call('getSelection');
      const document = simulator.documentOf(documentID);
      const { selection } = document.state;
      return readPlane(
        selection ?? simulator.refuse('getSelection: nothing is selected'),
        sourceBounds,
        document.space,
      );
    },

    putSelection: async ({ documentID, imageData, targetBounds }) => {
      const document = simulator.documentOf(documentID);
      simulator.change(document, 'putSelection');
      document.state.selection = trimmed(greyPlane(document, imageData, targetBounds));
    },

    createImageDataFromBuffer: async (data, options) => {
      simulator.call('createImageDataFromBuffer');
      const { width, height, components, colorSpace, colorProfile } = options;
      if (data.length !== width * height * components) {
        simulator.refuse(
          `createImageDataFromBuffer: ${data.length} samples are not ${width} x ${height} x ${components}`,
        );
      }
      const profile = colorSpace === 'RGB' ? 'sRGB IEC61966-2.1' : 'Gray Gamma 2.2';
      if (colorProfile !== profile) simulator.refuse('createImageDataFromBuffer: unknown color profile');
      const componentSize = data instanceof Uint8Array ? 8 : data instanceof Uint16Array ? 16 : 32;
      if (componentSize === 16 && data.some((value) => value > 32768)) {
        simulator.refuse('createImageDataFromBuffer: 16 bits run from 0 to 32768');
      }
      return simulator.lend({ width, height, components, componentSize, colorSpace, data: data.slice() });
    },

    encodeImageData: async ({ imageData }) => {
      simulator.call('encodeImageData');
      const lent = imageData as LentImage;
      if (lent.components !== 3 || lent.componentSize !== 8)
        simulator.refuse('encodeImageData: RGB of 8 bits alone');
      return grayJPEG(lent.samples);
    },
  };
}

/** The smallest possible JPEG, grey: the encoder isn't under test. */
function grayJPEG(data: Samples): string {
  if (data.length === 0) throw new PhotoshopError('encodeImageData: no pixels');
  return '/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AKp//2Q==';
}
