import type { Settings } from '../panel/models/settings.ts';
import { decodeMask, decodePicture, decodeReference } from '../picture/decode.ts';
import type { PageDocument } from './document.ts';

async function asset(name: string): Promise<Blob> {
  return (await fetch(`/assets/${name}`)).blob();
}

/** Opens the sample that comes with the page: a picture, a mask, a reference and an instruction. */
export async function openSample(pageDocument: PageDocument, settings: Settings): Promise<void> {
  const [picture, mask, reference] = await Promise.all([
    asset('sample-picture.jpg'),
    asset('sample-mask.png'),
    asset('sample-reference.png'),
  ]);
  pageDocument.openPicture(
    'sample-picture.jpg',
    await decodePicture(picture, 'sample-picture.jpg'),
    await decodeMask(mask, 'sample-mask.png'),
  );
  settings.references.value = [await decodeReference(reference, 'sample-reference.png')];
  settings.write('put {image1} here');
}
