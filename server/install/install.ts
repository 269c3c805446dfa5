import { copyFile, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { modelFiles, modelsFolder } from '../catalogue/catalogue.ts';
import { isGGUF } from '../checkpoints/header.ts';
import { freeBytes } from '../disk/read-range.ts';
import { rename } from '../disk/rename.ts';
import { unfinished } from '../quantize/file-writer.ts';
import { bytesOfBlocks, writeBlocks } from '../quantize/quantize.ts';
import { unwrittenFile } from '../quantize/quantized-cache.ts';
import { type Digest, digestOfFile, digestText, parseDigest } from './digest.ts';
import { chunksSuffix, download, fetchedBytes, partSuffix } from './download.ts';
import { candidatesIn, Finder, hardLink, linkFile, type Match, usualPlaces } from './existing.ts';
import { installedAs, lockModel, modelFolder, partsByFile } from './folder.ts';
import type { Hub, RemoteFile } from './hub.ts';
import { acceptLicences, type Licence } from './licences.ts';
import type { PublishedFile, PublishedModel, T5Precision } from './published.ts';
import { type InstalledFile, type InstallRecord, readRecord, writeRecord } from './record.ts';
import { type RetryOptions, retrying } from './retry.ts';
import { sizeText } from './text.ts';

/** Space for the journals, and for anything else that grows in the meantime. */
export const spareBytes = 2 ** 26;

export interface InstallOptions extends Omit<RetryOptions, 'name'> {
  readonly home: string;
  readonly hub: Hub;
  readonly t5?: T5Precision | undefined;
  /** The user's files and folders, in addition to the usual places. */
  readonly from: readonly string[];
  readonly ask: (licence: Licence) => Promise<boolean>;
  readonly progress: (progress: InstallProgress) => void;
  readonly chunkBytes?: number;
}

export interface InstallProgress {
  readonly file: string;
  readonly fileBytes: number;
  readonly fileSize: number;
  /** Of everything to download, including what earlier runs downloaded. */
  readonly bytes: number;
  readonly size: number;
}

interface Blocks {
  /** Relative to the model's folder. */
  readonly file: string;
  readonly target: string;
  readonly size: number;
  readonly missing: number;
}

/** A part to download. */
interface Fetch {
  readonly part: PublishedFile;
  readonly remote: RemoteFile;
}

/**
 * Installs a model, or what is missing from it: links the user's own files and downloads the rest. Before
 * downloading, it asks about the licences, and fails if there is too little disk space. It can be interrupted
 * at any moment and called again.
 * @throws CodedError `licence-not-accepted`, `disk-full`, `install-running`, and those of `download`
 */
export async function installModel(model: PublishedModel, options: InstallOptions): Promise<void> {
  await acceptLicences(
    options.home,
    model.parts.map(({ source }) => source.licence),
    options.ask,
  );
  const release = await lockModel(model.id);
  try {
    await new Installation(model, options).run();
  } finally {
    await release();
  }
}

class Installation {
  readonly #model: PublishedModel;
  readonly #options: InstallOptions;
  readonly #folder: string;
  #record: InstallRecord = {};

  constructor(model: PublishedModel, options: InstallOptions) {
    this.#model = model;
    this.#options = options;
    this.#folder = modelFolder(model.id);
  }

  async run(): Promise<void> {
    const { log, t5, from, signal } = this.#options;
    this.#record = await readRecord(this.#folder);
    const missing: (readonly PublishedFile[])[] = [];
    for (const choices of partsByFile(this.#model, t5).values()) {
      if (!(await this.#isThere(choices))) missing.push(choices);
    }
    const fetches: Fetch[] = [];
    if (missing.length > 0) {
      await requirePlaces(from);
      const named = await candidatesIn(from, true);
      const usual = await candidatesIn(usualPlaces(), false);
      const finder = new Finder([...named, ...usual], signal, log);
      const installed = await this.#otherModels();
      for (const choices of missing) {
        const fetch = await this.#link(choices, finder, installed);
        if (fetch) fetches.push(fetch);
      }
      for (const { file, reason } of await finder.notTaken(await filesAmong(from))) {
        log(`${file} is not used: ${reason}.`);
      }
    } else {
      for (const place of from) log(`${place} is not needed: every file is there already.`);
    }
    await this.#reportChanges(missing.flat());
    const blocks = await this.#unwrittenBlocks();
    await this.#fetch(fetches, blocks?.missing ?? 0);
    if (blocks) await this.#writeBlocks(blocks);
    log(`${this.#model.id} is installed in ${this.#folder}.`);
  }

  /**
   * For files from a branch: reports whether the hub now has a newer version. What is installed stays as it
   * is.
   */
  async #reportChanges(missing: readonly PublishedFile[]): Promise<void> {
    const { hub, log, signal } = this.#options;
    for (const part of this.#model.parts) {
      const known = this.#record[part.file];
      if (
        known?.origin !== 'fetched' ||
        missing.includes(part) ||
        /^[0-9a-f]{40}$/.test(part.source.revision)
      )
        continue;
      const name = `${part.source.repo}/${part.source.path}`;
      try {
        const { digest } = await hub.describe(part.source);
        if (digestText(digest) === known.digest) continue;
        log(
          `${part.file}: ${name} has changed since it was fetched (${known.digest} then, ${digestText(digest)} now). Yours stays; to have the new one, remove the model and install it again.`,
        );
      } catch (cause) {
        signal.throwIfAborted();
        // Without a connection, what is installed still works.
        if (!(cause instanceof CodedError)) return;
        if (!cause.detail.includes('(404)')) continue;
        log(`${part.file}: ${name} is no longer there; yours stays, and cannot be fetched again from it.`);
      }
    }
  }

  /** Whether a part is present and unchanged, or was added by the user. */
  async #isThere(choices: readonly PublishedFile[]): Promise<boolean> {
    const [{ file }] = choices as [PublishedFile];
    const name = await installedAs(this.#folder, file);
    if (name === undefined) return false;
    const known = this.#record[name];
    const place = path.join(this.#folder, name);
    const { size, mtimeMs } = await stat(place);
    if (!known) {
      this.#options.log(`${name} was added by you and is used as is.`);
      await this.#write(name, {
        origin: 'own',
        title: choices[0]!.title,
        from: place,
        ...(await this.#stated(place)),
      });
      return true;
    }
    // A different precision was requested.
    if (known.origin !== 'own' && !choices.some(({ title }) => title === known.title)) return false;
    if (known.size === size && known.modifiedMs === mtimeMs) return true;
    const digest = parseDigest(known.digest);
    if (digest && known.size === size) {
      const { hex } = await digestOfFile(place, size, digest.algorithm, this.#options);
      if (hex === digest.hex) {
        await this.#write(name, { ...known, modifiedMs: mtimeMs });
        return true;
      }
    }
    if (known.origin === 'own') {
      await this.#write(name, { ...known, ...(await this.#stated(place)) });
      return true;
    }
    if (known.origin === 'linked') {
      this.#options.log(`${known.from}, which ${name} links to, has changed and is no longer used.`);
    } else {
      this.#options.log(`${name} is damaged: downloading the damaged parts again.`);
      await rename(place, place + partSuffix);
    }
    return false;
  }

  /** Links what other models or the user's files already have; returns what needs to be downloaded. */
  async #link(
    choices: readonly PublishedFile[],
    finder: Finder,
    installed: readonly OtherFile[],
  ): Promise<Fetch | undefined> {
    const { log } = this.#options;
    const remotes = new Map<PublishedFile, RemoteFile>();
    for (const part of choices) {
      const { source, file } = part;
      if (source.size === undefined || source.sha256 === undefined) {
        remotes.set(part, await this.#describe(part));
      }
      const digest: Digest = remotes.get(part)?.digest ?? { algorithm: 'sha256', hex: source.sha256! };
      const size = remotes.get(part)?.size ?? source.size!;
      const other = installed.find((known) => known.size === size && known.digest === digestText(digest));
      if (other && (await this.#share(other, file))) return undefined;
      const match = await finder.same(file, size, digest);
      if (match && (await this.#use(match, part, finder))) return undefined;
    }
    for (const part of choices) {
      const match = await finder.alike(part);
      if (match && (await this.#use(match, part, finder))) return undefined;
    }
    const [part] = choices as [PublishedFile];
    const remote = await this.#describe(part);
    log(`${part.file}: ${sizeText(remote.size)} from ${remote.repo}`);
    return { part, remote };
  }

  async #describe(part: PublishedFile): Promise<RemoteFile> {
    let remote: RemoteFile | undefined;
    await retrying({ ...this.#options, name: part.source.path }, async () => {
      remote = await this.#options.hub.describe(part.source);
      return true;
    });
    return remote!;
  }

  /**
   * A hard link to a file of another model: it takes no space, and either model can be removed without the
   * other.
   */
  async #share(other: OtherFile, file: string): Promise<boolean> {
    const place = path.join(this.#folder, file);
    await this.#clear(file);
    if ((await hardLink(other.path, place)) !== undefined) return false;
    await copyFile(other.path + chunksSuffix, place + chunksSuffix).catch(() => {});
    const { path: from, ...known } = other;
    this.#options.log(`${file}: the same as ${from}, shared with it`);
    await this.#write(file, known);
    return true;
  }

  async #use(match: Match, part: PublishedFile, finder: Finder): Promise<boolean> {
    const { log } = this.#options;
    await this.#clear(part.file);
    for (const { target, file } of match.links) {
      const reason = await linkFile(target, path.join(this.#folder, file));
      if (reason !== undefined) {
        log(
          `${match.path} could be used, but cannot be linked: ${reason}. On Windows, turn on Developer Mode.`,
        );
        return false;
      }
      const { size, mtimeMs } = await stat(target);
      const digest = digestText(await finder.digest(target, size, 'sha256'));
      const stated = { size, digest, modifiedMs: mtimeMs };
      await this.#write(file, { origin: 'linked', title: part.title, from: target, ...stated });
    }
    const kind =
      match.kind === 'same'
        ? ''
        : ' (not the published file, but the same network in another format or training)';
    log(`${part.file}: yours, ${match.path}${kind}`);
    finder.taken(match);
    return true;
  }

  /** Removes a previously installed file, if there is one. */
  async #clear(file: string): Promise<void> {
    const name = await installedAs(this.#folder, file);
    const known = name === undefined ? undefined : this.#record[name];
    if (name !== undefined && known && known.origin !== 'own') await rm(path.join(this.#folder, name));
  }

  /**
   * The blocks of a GGUF file, which must be converted for the graphs, and how many bytes of the result are
   * missing.
   */
  async #unwrittenBlocks(): Promise<Blocks | undefined> {
    const file = await installedAs(this.#folder, modelFiles.transformer);
    if (file === undefined || !isGGUF(file)) return undefined;
    const source = path.join(this.#folder, file);
    const target = await unwrittenFile(source);
    if (target === undefined) return undefined;
    const size = await bytesOfBlocks(source);
    const written = await stat(target + unfinished).catch(() => undefined);
    return { file, target, size, missing: size - (written?.size ?? 0) };
  }

  async #writeBlocks({ file, target, size }: Blocks): Promise<void> {
    const { log, progress, signal } = this.#options;
    log(`${file}: converting its blocks, once: ${sizeText(size)} as ${target}`);
    await writeBlocks(path.join(this.#folder, file), target, {
      signal,
      onProgress: (written) =>
        progress({ file: path.basename(target), fileBytes: written, fileSize: size, bytes: written, size }),
    });
  }

  /** @param besides bytes that will be written afterwards */
  async #fetch(fetches: readonly Fetch[], besides: number): Promise<void> {
    const { hub, progress, log } = this.#options;
    const there = new Map<string, number>();
    for (const { part } of fetches) {
      there.set(part.file, await fetchedBytes(path.join(this.#folder, part.file)));
    }
    const size = fetches.reduce((sum, { remote }) => sum + remote.size, 0);
    const bytes = () => [...there.values()].reduce((sum, count) => sum + count, 0);
    if (fetches.length > 0) {
      const free = await freeBytes(this.#folder);
      const before = bytes() > 0 ? `, of which ${sizeText(bytes())} are already there` : '';
      log(`To download: ${sizeText(size)}${before}. Free disk space: ${sizeText(free)}.`);
      const needed = size - bytes() + besides + spareBytes;
      if (needed > free) {
        throw new CodedError('disk-full', {
          detail: `${this.#model.id} needs ${sizeText(needed)} more, but only ${sizeText(free)} are free in ${this.#folder}. Nothing was downloaded.`,
          remedy:
            'Free some space, set ACEPP_HOME to a folder on another disk, or use your own files with --from.',
        });
      }
    }
    for (const { part, remote } of fetches) {
      const { file, title } = part;
      const place = path.join(this.#folder, file);
      await download(hub, remote, place, {
        ...this.#options,
        progress: (count) => {
          there.set(file, count);
          progress({ file, fileBytes: count, fileSize: remote.size, bytes: bytes(), size });
        },
      });
      const { mtimeMs } = await stat(place);
      await this.#write(file, {
        origin: 'fetched',
        title,
        from: `${remote.repo}/${remote.path}@${remote.revision}`,
        size: remote.size,
        digest: digestText(remote.digest),
        modifiedMs: mtimeMs,
      });
    }
  }

  /** Called after every file, so that an interruption loses none. */
  async #write(file: string, installed: InstalledFile): Promise<void> {
    this.#record = { ...this.#record, [file]: installed };
    await writeRecord(this.#folder, this.#record);
  }

  async #stated(place: string): Promise<Pick<InstalledFile, 'size' | 'digest' | 'modifiedMs'>> {
    const { size, mtimeMs } = await stat(place);
    const digest = digestText(await digestOfFile(place, size, 'sha256', this.#options));
    return { size, digest, modifiedMs: mtimeMs };
  }

  /** What other models have downloaded, if it is unchanged. */
  async #otherModels(): Promise<OtherFile[]> {
    const files: OtherFile[] = [];
    for (const id of await readdir(modelsFolder())) {
      const folder = path.join(modelsFolder(), id);
      if (folder === this.#folder) continue;
      for (const [file, known] of Object.entries(await readRecord(folder))) {
        const place = path.join(folder, file);
        const stats = await stat(place).catch(() => undefined);
        const isSame = stats?.size === known.size && stats.mtimeMs === known.modifiedMs;
        if (known.origin === 'fetched' && isSame) files.push({ ...known, path: place });
      }
    }
    return files;
  }
}

type OtherFile = InstalledFile & { readonly path: string };

/** Those of the places that are files. */
async function filesAmong(places: readonly string[]): Promise<string[]> {
  const files = await Promise.all(
    places.map(async (place) =>
      (await stat(place).catch(() => undefined))?.isFile() ? [path.resolve(place)] : [],
    ),
  );
  return files.flat();
}

/** @throws CodedError `request-invalid` if a place that the user named does not exist */
async function requirePlaces(from: readonly string[]): Promise<void> {
  for (const place of from) {
    if (await stat(place).catch(() => undefined)) continue;
    throw new CodedError('request-invalid', {
      detail: `--from names ${place}, which does not exist.`,
      remedy: 'Name a file, or a folder such as your ComfyUI folder.',
    });
  }
}
