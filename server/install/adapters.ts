/** Adapters that users add to a model: their own files, which are linked, or files on the hub. */
import { lstat, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { type AdapterDefaults, defaultsSuffix } from '../catalogue/adapter-defaults.ts';
import {
  adapterSuffix,
  adaptersFolder,
  type ModelEntry,
  modelFiles,
  pocket,
} from '../catalogue/catalogue.ts';
import { openAdapter } from '../checkpoints/lora/adapter.ts';
import { WeightsFile } from '../checkpoints/weights-file.ts';
import { writeDurably } from '../disk/durable.ts';
import { freeBytes } from '../disk/read-range.ts';
import { computedFile } from '../quantize/quantized-cache.ts';
import { digestOfFile, digestText } from './digest.ts';
import { chunksSuffix, download } from './download.ts';
import { linkFile } from './existing.ts';
import { lockFolder, removeUnfinished } from './folder.ts';
import type { Hub, RemoteFile } from './hub.ts';
import { type HubReference, parseHubReference } from './hub-reference.ts';
import { type InstallProgress, spareBytes } from './install.ts';
import { acceptLicences, type Licence, type LicenceId } from './licences.ts';
import { readRecord, writeRecord } from './record.ts';
import { type RetryOptions, retrying } from './retry.ts';
import { sizeText } from './text.ts';

/** An adapter known by name, with its defaults for edits. Its size and hash are the ones the hub reports. */
export interface PublishedAdapter extends HubReference {
  readonly name: string;
  readonly title: string;
  readonly licence: LicenceId;
  readonly defaults: AdapterDefaults;
}

export const publishedAdapters: readonly PublishedAdapter[] = [
  {
    name: 'turbo',
    title: 'FLUX.1-Turbo-Alpha: 8 steps instead of 28',
    // From its model card: distilled to 8 steps. FLUX.1-Fill-dev needs guidance 30, FLUX.1-dev 3.5.
    repo: 'alimama-creative/FLUX.1-Turbo-Alpha',
    path: 'diffusion_pytorch_model.safetensors',
    revision: 'main',
    licence: 'flux-1-dev-non-commercial',
    defaults: { steps: 8, guidance: 30 },
  },
];

/**
 * The usual names of a repository's single file in diffusers and trainers (diffusers, loaders/lora_base.py,
 * `LORA_WEIGHT_NAME_SAFE`).
 */
const usualPaths = [
  'pytorch_lora_weights.safetensors',
  'diffusion_pytorch_model.safetensors',
  'lora.safetensors',
];

export interface AddOptions extends Omit<RetryOptions, 'name'> {
  readonly home: string;
  readonly hub: Hub;
  /** The name to give it; by default, that of its file or repository. */
  readonly name?: string | undefined;
  readonly ask: (licence: Licence) => Promise<boolean>;
  readonly progress: (progress: InstallProgress) => void;
  readonly chunkBytes?: number;
}

/** Valid adapter names. */
const adapterName = /^[a-z0-9][a-z0-9._-]*$/;

/**
 * Adds an adapter to a model if it fits.
 * @param what a name of `publishedAdapters`, a file, or a file on the hub
 * @returns its name
 * @throws CodedError `request-invalid`, `adapter-invalid`, `licence-not-accepted`, `disk-full`,
 * `install-running`, and those of `download`
 */
export async function addAdapter(model: ModelEntry, what: string, options: AddOptions): Promise<string> {
  if (model.id === pocket.id)
    throw invalid('FLUX.1 adapters do not fit the small model "pocket".', 'Name another model with --model.');
  const known = publishedAdapters.find(({ name }) => name === what.toLowerCase());
  const local = known ? undefined : await localFile(what);
  const reference = known ?? (local === undefined ? parseHubReference(what) : undefined);
  const name =
    options.name ?? known?.name ?? nameFrom(local ?? reference?.path ?? reference!.repo, reference);
  if (!adapterName.test(name)) {
    throw invalid(
      `"${name}" cannot be an adapter's name.`,
      'Choose one with --name, using lowercase letters, digits, dots, dashes and underscores.',
    );
  }
  const place = path.join(model.folder, adaptersFolder, name + adapterSuffix);
  const release = await lockFolder(`the model "${model.id}"`, model.folder);
  try {
    if (await lstat(place).catch(() => undefined)) {
      throw invalid(
        `The model "${model.id}" already has an adapter "${name}".`,
        `Choose another name with --name, or run "acepp models adapters remove ${name}" first.`,
      );
    }
    if (local !== undefined) await link(model, local, place, options);
    else await fetch(model, reference!, place, known?.licence, options);
  } finally {
    await release();
  }
  const defaults = publishedAdapters.find((published) => published.name === name)?.defaults;
  if (defaults) await writeDurably(defaultsFile(place), `${JSON.stringify(defaults)}\n`);
  return name;
}

/**
 * Removes an adapter: the downloaded file, or the link to the user's own.
 * @returns the bytes freed, and the user's file that was kept
 * @throws CodedError `adapter-unknown`, `install-running`
 */
export async function removeAdapter(
  model: ModelEntry,
  name: string,
): Promise<{ readonly bytes: number; readonly kept?: string }> {
  const file = `${adaptersFolder}/${name}${adapterSuffix}`;
  const place = path.join(model.folder, file);
  const stats = await lstat(place).catch(() => undefined);
  if (!stats || !adapterName.test(name)) {
    const others = await readdir(path.dirname(place)).catch(() => []);
    throw new CodedError('adapter-unknown', {
      detail: `The model "${model.id}" has no adapter "${name}".`,
      remedy: `Installed adapters: ${
        others
          .filter((other) => other.endsWith(adapterSuffix))
          .map((other) => other.slice(0, -adapterSuffix.length))
          .join(', ') || 'none'
      }.`,
    });
  }
  const release = await lockFolder(`the model "${model.id}"`, model.folder);
  try {
    const { [file]: known, ...record } = await readRecord(model.folder);
    if (!stats.isSymbolicLink() && known?.origin !== 'fetched') {
      throw invalid(`${place} was added by you.`, 'Delete the file yourself.');
    }
    await rm(place);
    await rm(defaultsFile(place), { force: true });
    await removeUnfinished(place);
    await writeRecord(model.folder, record);
    return stats.isSymbolicLink() ? { bytes: 0, ...(known && { kept: known.from }) } : { bytes: stats.size };
  } finally {
    await release();
  }
}

const defaultsFile = (place: string) => place.slice(0, -adapterSuffix.length) + defaultsSuffix;

/** The absolute path of an existing file; undefined if the text can only refer to the hub. */
async function localFile(text: string): Promise<string | undefined> {
  const file = path.resolve(text);
  const stats = await stat(file).catch(() => undefined);
  if (stats?.isFile()) return file;
  if (stats?.isDirectory()) throw invalid(`${file} is a folder.`, 'Name the .safetensors file in it.');
  if (path.isAbsolute(text) || text.startsWith('.'))
    throw invalid(`There is no file ${file}.`, 'Check the path.');
  return undefined;
}

/** A name from the file, or from the repository if the file has one of the usual names. */
function nameFrom(place: string, reference: HubReference | undefined): string {
  const base = path.basename(place).replace(/\.(?:safetensors|sft)$/, '');
  const isUsual = reference && usualPaths.includes(path.basename(place));
  return (isUsual ? path.basename(reference.repo) : base)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '');
}

async function link(model: ModelEntry, file: string, place: string, { log }: AddOptions): Promise<void> {
  await requireFit(model, file, log);
  const reason = await linkFile(file, place);
  if (reason !== undefined) {
    throw invalid(
      `${file} cannot be linked: ${reason}.`,
      'On Windows, turn on Developer Mode, or copy the file into the adapters folder.',
    );
  }
  const { size, mtimeMs } = await stat(file);
  const digest = digestText(await digestOfFile(file, size, 'sha256'));
  await record(model, place, {
    origin: 'linked',
    title: 'adapter',
    from: file,
    size,
    digest,
    modifiedMs: mtimeMs,
  });
}

async function fetch(
  model: ModelEntry,
  reference: HubReference,
  place: string,
  licence: LicenceId | undefined,
  options: AddOptions,
): Promise<void> {
  const { hub, log, progress, home, ask } = options;
  if (licence) await acceptLicences(home, [licence], ask);
  else log(`For its licence, see https://huggingface.co/${reference.repo}`);
  const remote = await describe(reference, options);
  const free = await freeBytes(model.folder);
  log(`${remote.repo}/${remote.path}: ${sizeText(remote.size)}. Free on the disk: ${sizeText(free)}.`);
  if (remote.size + spareBytes > free) {
    throw new CodedError('disk-full', {
      detail: `The adapter needs ${sizeText(remote.size)}, but only ${sizeText(free)} are free in ${model.folder}. Nothing was downloaded.`,
      remedy: 'Free some space and run it again.',
    });
  }
  const file = path.basename(place);
  await download(hub, remote, place, {
    ...options,
    progress: (bytes) =>
      progress({ file, fileBytes: bytes, fileSize: remote.size, bytes, size: remote.size }),
  });
  try {
    await requireFit(model, place, log);
  } catch (cause) {
    await rm(place);
    await rm(place + chunksSuffix, { force: true });
    throw cause;
  }
  const { mtimeMs } = await stat(place);
  const from = `${remote.repo}/${remote.path}@${remote.revision}`;
  const digest = digestText(remote.digest);
  await record(model, place, {
    origin: 'fetched',
    title: 'adapter',
    from,
    size: remote.size,
    digest,
    modifiedMs: mtimeMs,
  });
}

/** The named file, or the first of the usual ones that the repository has. */
async function describe(
  { repo, path: named, revision }: HubReference,
  options: AddOptions,
): Promise<RemoteFile> {
  let missing: unknown;
  for (const place of named === undefined ? usualPaths : [named]) {
    let found: RemoteFile | undefined;
    try {
      await retrying({ ...options, name: place }, async () => {
        found = await options.hub.describe({ repo, path: place, revision });
        return true;
      });
      return found!;
    } catch (cause) {
      if (!(cause instanceof CodedError) || !cause.detail.includes('(404)')) throw cause;
      missing = cause;
    }
  }
  if (named !== undefined) throw missing;
  throw invalid(
    `${repo} has none of the files ${usualPaths.join(', ')}.`,
    `Name its file: "${repo}/<file>.safetensors".`,
  );
}

/** @throws CodedError `adapter-invalid` if the file is not an adapter for the model */
async function requireFit({ folder }: ModelEntry, file: string, log: (text: string) => void): Promise<void> {
  const at = (name: 'transformer' | 't5' | 'clip') => path.join(folder, modelFiles[name]);
  const { notes } = await openAdapter('adapter', file, {
    transformer: await WeightsFile.open(await computedFile(at('transformer')), 'transformer'),
    t5: await WeightsFile.open(at('t5'), 't5'),
    clip: await WeightsFile.open(at('clip'), 'clip'),
  });
  for (const note of notes) log(note);
}

async function record(
  { folder }: ModelEntry,
  place: string,
  installed: Awaited<ReturnType<typeof readRecord>>[string],
): Promise<void> {
  const name = path.relative(folder, place).replaceAll(path.sep, '/');
  await writeRecord(folder, { ...(await readRecord(folder)), [name]: installed });
}

function invalid(detail: string, remedy: string): CodedError {
  return new CodedError('request-invalid', { detail, remedy });
}
