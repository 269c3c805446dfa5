import { CodedError } from '../../shared/errors.ts';
import type { EncodedFile, Picture, Reference } from '../panel/host.ts';
import { newUUID } from '../panel/uuid.ts';
import type { ExecutionContext, Layer, PhotoshopDocument } from './api.ts';
import { activeDocument, modeOf } from './documents.ts';
import { modally } from './modal.ts';
import { imaging, storage } from './modules.ts';
import { flat, isMaskedOut } from './read-layer.ts';
import type { Results } from './results.ts';
import { isEmpty, padPixels, sRGB, toBounds, using } from './samples.ts';

/** References only guide the edit: they are sent with at most this many pixels a side. */
const maxSide = 2048;
const thumbnailHeight = 96;
/** Without a canvas to scale it down, a file serves as its own thumbnail, up to this many bytes. */
const maxThumbnailBytes = 2_000_000;

const encodings: Readonly<Record<string, EncodedFile['encoding']>> = {
  png: 'png',
  jpg: 'jpg',
  jpeg: 'jpg',
  webp: 'webp',
};

/** Picks picture files, unchanged: the companion decodes them. */
export async function pickFiles(): Promise<readonly Reference[]> {
  const files = await storage.localFileSystem.getFileForOpening({
    types: Object.keys(encodings),
    allowMultiple: true,
  });
  const references: Reference[] = [];
  for (const file of files ?? []) {
    const encoding = encodings[file.name.split('.').at(-1)!.toLowerCase()];
    if (!encoding) {
      throw new CodedError('image-invalid', {
        detail: `“${file.name}” is not a picture that can be a reference.`,
        remedy: 'Choose PNG, JPEG or WebP files, or open it and use its layer.',
      });
    }
    const bytes = new Uint8Array(await file.read({ format: storage.formats.binary }));
    const type = encoding === 'jpg' ? 'jpeg' : encoding;
    const thumbnail = bytes.length > maxThumbnailBytes ? '' : `data:image/${type};base64,${toBase64(bytes)}`;
    references.push({ id: newUUID(), name: file.name, thumbnail, picture: { encoding, bytes } });
  }
  return references;
}

/**
 * The selected layers and groups, topmost first.
 * @throws CodedError `document-gone`, `document-refused` if none is selected or one has no pixels
 */
export function takeLayers(results: Results): Promise<readonly Reference[]> {
  return modally('Read the references', async (context) => {
    const document = activeDocument();
    modeOf(document);
    const unkept = await results.unkept(document);
    const references: Reference[] = [];
    // Copy the list: reading a group briefly selects other layers.
    for (const layer of [...document.activeLayers]) {
      const hidden = unkept.filter(({ id }) => id !== layer.id);
      references.push(await takeLayer(context, document, hidden, layer));
    }
    if (references.length > 0) return references;
    throw new CodedError('document-refused', {
      detail: `No layer of “${document.name}” is selected.`,
      remedy: 'Select the layers that show what should appear.',
    });
  });
}

async function takeLayer(
  context: ExecutionContext,
  document: PhotoshopDocument,
  hidden: readonly Layer[],
  layer: Layer,
): Promise<Reference> {
  const { name } = layer;
  return flat(context, document, hidden, layer, async (pixelLayer) => {
    const { id: layerID, boundsNoEffects } = pixelLayer;
    const bounds = toBounds(boundsNoEffects);
    if (isEmpty(bounds)) throw noPixels(name);
    const options = {
      documentID: document.id,
      layerID,
      sourceBounds: boundsNoEffects,
      colorSpace: 'RGB',
      colorProfile: sRGB,
      componentSize: 8,
    } as const;
    const isLarge = Math.max(bounds.width, bounds.height) > maxSide;
    const longer = bounds.width > bounds.height ? 'width' : 'height';
    const size = isLarge ? { targetSize: { [longer]: maxSide } } : {};
    const read = await imaging.getPixels({ ...options, ...size }).catch(async (thrown) => {
      throw (await isMaskedOut(document, pixelLayer, bounds)) ? noPixels(name) : thrown;
    });
    const picture = await using(read.imageData, async ({ width, height }) => {
      // Scaled pixels report their place in a smaller picture, and masked ones are smaller than the layer:
      // use all of it.
      const sourceBounds = { left: 0, top: 0, right: width, bottom: height };
      return padPixels({ ...read, sourceBounds }, { left: 0, top: 0, width, height });
    });
    const small = await imaging.getPixels({
      ...options,
      targetSize: { height: Math.min(thumbnailHeight, picture.height) },
      applyAlpha: true,
    });
    const jpeg = await using(small.imageData, (imageData) =>
      imaging.encodeImageData({ imageData, base64: true }),
    );
    return {
      id: newUUID(),
      name,
      thumbnail: `data:image/jpeg;base64,${jpeg}`,
      picture: picture as Picture,
    };
  });
}

function noPixels(name: string): CodedError {
  return new CodedError('document-refused', {
    detail: `The layer “${name}” has no pixels.`,
    remedy: 'Select a layer that shows something.',
  });
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}
