/** Extracts files from archives, streaming. */
import { createWriteStream } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as tar from 'tar';
import * as yauzl from 'yauzl';

/**
 * Extracts the matching files of a zip archive or a gzipped tarball into a folder, under their base names.
 * Each file appears complete or not at all.
 * @returns their names
 * @throws the archive reader's error if the archive is broken
 */
export async function unpack(
  archive: string,
  takes: RegExp,
  folder: string,
  signal: AbortSignal,
): Promise<string[]> {
  const names: string[] = [];
  const write = async (place: string, content: Readable) => {
    const name = path.posix.basename(place);
    await writeWhole(path.join(folder, name), content, signal);
    names.push(name);
  };
  await (archive.endsWith('.tgz') ? eachOfTarball : eachOfZip)(archive, takes, write);
  return names;
}

type Write = (place: string, content: Readable) => Promise<void>;

async function eachOfZip(archive: string, takes: RegExp, write: Write): Promise<void> {
  const zip = await new Promise<yauzl.ZipFile>((resolve, reject) => {
    yauzl.open(archive, { lazyEntries: true }, (error, file) => (error ? reject(error) : resolve(file)));
  });
  const contentOf = (entry: yauzl.Entry) =>
    new Promise<Readable>((resolve, reject) => {
      zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream)));
    });
  try {
    await new Promise<void>((resolve, reject) => {
      zip.once('end', resolve).once('error', reject);
      zip.on('entry', (entry: yauzl.Entry) => {
        const taken = takes.test(entry.fileName)
          ? contentOf(entry).then((content) => write(entry.fileName, content))
          : Promise.resolve();
        taken.then(() => zip.readEntry(), reject);
      });
      zip.readEntry();
    });
  } finally {
    zip.close();
  }
}

async function eachOfTarball(archive: string, takes: RegExp, write: Write): Promise<void> {
  const written: Promise<void>[] = [];
  await tar.t({
    file: archive,
    filter: (place) => takes.test(place),
    onReadEntry: (entry) => {
      written.push(write(entry.path, entry as unknown as Readable));
    },
  });
  await Promise.all(written);
}

async function writeWhole(place: string, content: Readable, signal: AbortSignal): Promise<void> {
  const partial = `${place}.partial`;
  await pipeline(content, createWriteStream(partial), { signal });
  const handle = await open(partial, 'r+');
  await handle.sync();
  await handle.close();
  await rename(partial, place);
}
