/**
 * Installs ONNX Runtime's CUDA provider and NVIDIA's libraries in the data folder; the machine only needs
 * Node and a driver.
 */
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { asDiskError } from '../disk/durable.ts';
import { freeBytes } from '../disk/read-range.ts';
import { cudaFolder } from '../runtime/environment.ts';
import type { Archive } from './cuda-archives.ts';
import { chunksSuffix, download, fetchedBytes, type Origin } from './download.ts';
import { lockFolder } from './folder.ts';
import { type InstallProgress, spareBytes } from './install.ts';
import { acceptLicences, type Licence } from './licences.ts';
import type { RetryOptions } from './retry.ts';
import { sizeText } from './text.ts';
import { interruptionOf, Transport } from './transport.ts';
import { unpack } from './unpack.ts';

export interface CUDAOptions extends Omit<RetryOptions, 'name'> {
  readonly home: string;
  readonly ask: (licence: Licence) => Promise<boolean>;
  readonly progress: (progress: InstallProgress) => void;
  readonly chunkBytes?: number;
}

/** `cudaFolder` while it is incomplete. */
const partialFolder = () => `${cudaFolder()}.partial`;
const archivesFolder = () => path.join(path.dirname(cudaFolder()), 'archives');

/** @throws CodedError `provider-unavailable` if CUDA is not available for this system */
export function requireLinux(platform = process.platform, arch = process.arch): void {
  if (platform === 'linux' && arch === 'x64') return;
  const isWindows = platform === 'win32';
  throw new CodedError('provider-unavailable', {
    detail: `There is no CUDA for "${platform}-${arch}", only for Linux on x64, including WSL2.`,
    remedy: isWindows
      ? 'You need not install anything: DirectML comes with "npm ci" and is used automatically. For CUDA, run ACE++ Layers in WSL2.'
      : 'You need not install anything: everything that works here comes with "npm ci".',
  });
}

export async function isInstalled(): Promise<boolean> {
  return exists(cudaFolder());
}

/**
 * Downloads and unpacks what is missing. It can be interrupted at any moment and called again: finished
 * downloads and unpacked files are kept, and the folder appears once everything is in it.
 * @throws CodedError `licence-not-accepted`, `disk-full`, `install-running`, and those of `download`
 */
export async function installCUDA(archives: readonly Archive[], options: CUDAOptions): Promise<void> {
  if (await isInstalled()) {
    options.log(`CUDA is installed in ${cudaFolder()}.`);
    return;
  }
  const licences = archives.map(({ licence }) => licence);
  await acceptLicences(options.home, licences, options.ask);
  await mkdir(archivesFolder(), { recursive: true });
  await mkdir(partialFolder(), { recursive: true });
  const release = await lockCUDA();
  try {
    await fetchAndUnpack(archives, options);
    await finish();
    options.log(`CUDA is installed in ${cudaFolder()}.`);
  } catch (cause) {
    throw asDiskError(cause);
  } finally {
    await release();
  }
}

/** @returns the number of bytes freed */
export async function removeCUDA(): Promise<number> {
  const folder = path.dirname(cudaFolder());
  if (!(await exists(folder))) return 0;
  const release = await lockCUDA();
  const bytes = await bytesIn(folder);
  await release();
  await rm(folder, { recursive: true });
  return bytes;
}

async function fetchAndUnpack(archives: readonly Archive[], options: CUDAOptions): Promise<void> {
  const missing: Archive[] = [];
  for (const archive of archives) if (!(await isUnpacked(archive))) missing.push(archive);
  const there = new Map<string, number>();
  for (const archive of missing) there.set(archive.url, await bytesThere(archive));
  const size = missing.reduce((sum, archive) => sum + archive.size, 0);
  const bytes = () => [...there.values()].reduce((sum, count) => sum + count, 0);
  await requireSpace(missing, size - bytes(), options.log);
  const transport = new Transport({ signal: options.signal });
  for (const archive of missing) {
    const place = placeOf(archive);
    if (!(await exists(place))) {
      const { origin, file } = remoteOf(archive, transport);
      await download(origin, file, place, {
        ...options,
        ifWrong: 'Try again later, or on another network.',
        progress: (count) => {
          there.set(archive.url, count);
          options.progress({
            file: archive.title,
            fileBytes: count,
            fileSize: archive.size,
            bytes: bytes(),
            size,
          });
        },
      });
    }
    options.log(`${archive.title}: unpacking`);
    const names = await unpack(place, archive.takes, partialFolder(), options.signal);
    await writeFile(markOf(archive), names.join('\n'));
    for (const suffix of ['', chunksSuffix]) await rm(place + suffix, { force: true });
  }
}

/** One archive at a time: each is deleted before the next is downloaded. */
async function requireSpace(
  missing: readonly Archive[],
  toFetch: number,
  log: (text: string) => void,
): Promise<void> {
  const unpacked = missing.reduce((sum, archive) => sum + archive.unpacked, 0);
  const largest = Math.max(0, ...missing.map((archive) => archive.size));
  const needed = unpacked + Math.min(largest, toFetch) + spareBytes;
  const free = await freeBytes(cudaFolder());
  log(
    `To download: ${sizeText(toFetch)}, ${sizeText(unpacked)} unpacked. Free disk space: ${sizeText(free)}.`,
  );
  if (needed <= free) return;
  throw new CodedError('disk-full', {
    detail: `CUDA needs ${sizeText(needed)}, but only ${sizeText(free)} are free in ${path.dirname(cudaFolder())}. Nothing was downloaded.`,
    remedy: 'Free some space, or set ACEPP_HOME to a folder on another disk.',
  });
}

async function finish(): Promise<void> {
  const folder = partialFolder();
  // ONNX Runtime loads cuDNN by a name without a version, and the wheel has no such file.
  await symlink('libcudnn.so.9', path.join(folder, 'libcudnn.so')).catch(ignoreExisting);
  await rename(folder, cudaFolder());
  await rm(archivesFolder(), { recursive: true, force: true });
}

const nameOf = ({ url }: Archive) => path.posix.basename(new URL(url).pathname);
const placeOf = (archive: Archive) => path.join(archivesFolder(), nameOf(archive));
/** Lists what was unpacked from the archive, once that is complete. */
const markOf = (archive: Archive) => `${placeOf(archive)}.unpacked`;

async function isUnpacked(archive: Archive): Promise<boolean> {
  const names = await readFile(markOf(archive), 'utf8').catch(() => '');
  if (names === '') return false;
  const there = await Promise.all(names.split('\n').map((name) => exists(path.join(partialFolder(), name))));
  return there.every(Boolean);
}

async function bytesThere(archive: Archive): Promise<number> {
  return (await exists(placeOf(archive))) ? archive.size : fetchedBytes(placeOf(archive));
}

function remoteOf({ url, size, sha256 }: Archive, transport: Transport) {
  const address = new URL(url);
  const { host, pathname } = address;
  const digest = { algorithm: 'sha256', hex: sha256 } as const;
  const origin: Origin = {
    read: (_, begin, end) =>
      transport.read(address, size, { begin, end }, (response) => check(response, address)),
  };
  return { origin, file: { repo: host, path: pathname.slice(1), revision: '', size, digest } };
}

function check(response: Response, url: URL): void {
  const { status } = response;
  if (status < 400 || status === 416) return;
  throw (
    interruptionOf(response) ??
    new CodedError('hub-refused', {
      detail: `${url.host} refused ${url.pathname} with ${status}.`,
      remedy: 'Try again later. The file may also have moved: update ACE++ Layers.',
    })
  );
}

function lockCUDA(): Promise<() => Promise<void>> {
  return lockFolder('CUDA', path.dirname(cudaFolder()));
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await stat(path.join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

function exists(place: string): Promise<boolean> {
  return stat(place).then(
    () => true,
    () => false,
  );
}

function ignoreExisting(cause: NodeJS.ErrnoException): void {
  if (cause.code !== 'EEXIST') throw cause;
}
