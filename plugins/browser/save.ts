import { CodedError } from '../../shared/errors.ts';
import { toCanvas } from '../picture/decode.ts';
import type { PageDocument } from './document.ts';
import { download, editedName } from './files.ts';

/** Saves the visible picture as a flattened PNG. */
export async function savePNG(pageDocument: PageDocument): Promise<void> {
  const open = pageDocument.open.value;
  if (!open) return;
  const canvas = toCanvas(pageDocument.flattened());
  const content = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (!content) {
    throw new CodedError('out-of-memory', {
      detail: `The browser could not write a PNG of ${canvas.width}x${canvas.height}.`,
      remedy: 'Close other tabs and try again, or save as PSD.',
    });
  }
  download(content, editedName(open.name, 'png'));
  pageDocument.markSaved();
}

/** Saves the picture and every kept result as a masked layer. */
export async function savePSD(pageDocument: PageDocument): Promise<void> {
  const open = pageDocument.open.value;
  if (!open) return;
  // Loaded on demand.
  const [{ writePSD, wholeLayer }, { maskedLayer }, { layerName }] = await Promise.all([
    import('../../shared/psd/write.ts'),
    import('../../shared/psd/masked-layer.ts'),
    import('../../shared/psd/layer-name.ts'),
  ]);
  const rgba = <P extends object>(picture: P) => ({ ...picture, channels: 4 }) as const;
  const bytes = writePSD({
    flat: rgba(pageDocument.flattened()),
    layers: [
      wholeLayer('Picture', rgba(open.picture)),
      ...pageDocument.layers.value.map(({ name, bounds, picture, visible }) =>
        maskedLayer(layerName(name), rgba(picture), bounds, visible),
      ),
    ],
  });
  download(new Blob([bytes], { type: 'image/vnd.adobe.photoshop' }), editedName(open.name, 'psd'));
  pageDocument.markSaved();
}
