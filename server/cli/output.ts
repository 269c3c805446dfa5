import { constants } from 'node:fs';
import { access, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { composite } from '../../shared/composite.ts';
import { CodedError } from '../../shared/errors.ts';
import { readResult } from '../../shared/protocol/result-container.ts';
import { layeredPSD, type Pixels } from '../../shared/psd.ts';
import { type Container, decodeContainer } from '../../shared/safetensors.ts';
import { readBytes } from '../disk/durable.ts';
import { rename } from '../disk/rename.ts';
import { layerPNG } from '../jobs/layer-png.ts';
import { type Flags, fromPerson, wrongFlags } from './flags.ts';

/**
 * Writes the result in `source` where --out says: the layer as PNG, or the picture with the layer on it as PSD.
 * @throws CodedError `disk-full`, `request-invalid`; they name `source`, which is then to be kept
 */
export async function writeResult(source: string, out: string, flags: Flags): Promise<void> {
  const layer = decodeContainer(await readBytes(source), 'The result');
  await writeWhole(out, await (isPSD(out) ? layerPSD(layer, flags) : layerPNG(layer)), source);
}

function isPSD(file: string): boolean {
  return path.extname(file).toLowerCase() === '.psd';
}

/**
 * Checks before the edit what can be known of its end.
 * @throws CodedError `request-invalid` where --out is neither a PNG nor a PSD, or lies where nothing can be written
 */
export async function outFile(given: string): Promise<string> {
  const file = fromPerson(given);
  if (!isPSD(file) && path.extname(file).toLowerCase() !== '.png') {
    throw wrongFlags(`--out "${given}" is neither .png nor .psd`);
  }
  const folder = path.dirname(file);
  if (!(await isFolder(folder))) throw wrongFlags(`--out "${given}" lies in ${folder}, which is no folder`);
  if (await isFolder(file)) throw wrongFlags(`--out "${given}" is a folder`);
  await access(folder, constants.W_OK).catch(() => {
    throw wrongFlags(`--out "${given}" lies in ${folder}, where you may not write`);
  });
  return file;
}

async function isFolder(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** The picture as 8-bit RGBA, upright and in sRGB as the pipeline takes it. */
async function picturePixels(file: string): Promise<Pixels> {
  const picture = sharp(fromPerson(file));
  const { hasProfile } = await picture.metadata();
  // As the pipeline: sharp takes a profile of 16 bits for a way to Display P3, unless it is told where to go.
  const { data, info } = await (hasProfile ? picture.withIccProfile('srgb') : picture)
    .autoOrient()
    .toColourspace('srgb')
    .ensureAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

async function layerPSD(result: Container, { image, instruction }: Flags): Promise<Uint8Array> {
  const { data, info } = await sharp(await layerPNG(result))
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const layer: Pixels = { width: info.width, height: info.height, data };
  const { bounds } = readResult(result);
  const picture =
    image === undefined
      ? { width: layer.width, height: layer.height, data: new Uint8Array(layer.data.length) }
      : await picturePixels(image);
  const flat = composite({ ...picture, channels: 4 }, { ...layer, channels: 4 }, bounds);
  const name = instruction.trim().slice(0, 60) || 'ACE++';
  return layeredPSD(picture, [{ name, bounds, picture: layer, visible: true }], {
    ...picture,
    data: flat.data as Uint8Array,
  });
}

/** The file appears as a whole or not at all. */
async function writeWhole(file: string, content: Uint8Array, source: string): Promise<void> {
  const unfinished = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(unfinished, content);
    await rename(unfinished, file);
  } catch (cause) {
    await rm(unfinished, { force: true });
    const isFull = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new CodedError(isFull ? 'disk-full' : 'request-invalid', {
      detail: `The result cannot be written: ${(cause as Error).message}.`,
      remedy: `The layer is kept in ${source}. Let --out name a file on a disk that has room and that you may write to.`,
      cause,
    });
  }
}
