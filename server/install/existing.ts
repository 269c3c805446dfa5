/** The user's own weights, used in place: in ComfyUI's folders, the hub's cache, or wherever they specify. */
import { link, lstat, mkdir, readdir, realpath, rm, stat, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { modelFiles } from '../catalogue/catalogue.ts';
import { type NetworkName, networksIn, selectNetwork } from '../checkpoints/bundle.ts';
import { isBlockType } from '../checkpoints/gguf/ggml-blocks.ts';
import { asGGUF, indexSuffix, isGGUF, openStored } from '../checkpoints/header.ts';
import { isParameter, matrixShape } from '../checkpoints/tensor.ts';
import { signOf } from '../checkpoints/unused.ts';
import { WeightsFile } from '../checkpoints/weights-file.ts';
import { isComputable } from '../nn/stored-weights.ts';
import { type Digest, digestOfFile } from './digest.ts';
import { whyNotTaken } from './not-taken.ts';
import type { PublishedFile } from './published.ts';

/** A file that may be a part of a model. */
export interface Candidate {
  readonly path: string;
  readonly size: number;
  /** The user named it or its folder. */
  readonly isNamed: boolean;
}

/** A user's file to be used as a part: what to link, and under which names in the same folder. */
export interface Match {
  /** `same`: byte for byte the published file; `alike`: the same network, stored or trained differently. */
  readonly kind: 'same' | 'alike';
  readonly path: string;
  readonly links: readonly { readonly target: string; readonly file: string }[];
}

const wanted =
  /(?:\.safetensors|\.sft|\.gguf|\.safetensors\.index\.json|^tokenizer\.json|^tokenizer_config\.json)$/;
/**
 * Deep enough for ComfyUI's `models/loras/<author>/<set>`, the cache's
 * `models--x--y/snapshots/<commit>/transformer`, and a few more levels.
 */
const deepest = 8;

/** Where the hub's clients store downloads (huggingface_hub, constants.py). */
function hubCache(): string {
  const { HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  if (HF_HUB_CACHE) return HF_HUB_CACHE;
  if (HF_HOME) return path.join(HF_HOME, 'hub');
  return path.join(XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'huggingface', 'hub');
}

/**
 * Where weights often are: the hub's cache, and ComfyUI as its manual and its desktop application install it.
 */
export function usualPlaces(): string[] {
  const comfy = ['ComfyUI/models', 'Documents/ComfyUI/models'].map((place) => path.join(homedir(), place));
  return [hubCache(), ...comfy];
}

/** All files in the places, or the places themselves, that may be weights or tokenizers. */
export async function candidatesIn(places: readonly string[], isNamed: boolean): Promise<Candidate[]> {
  const found: Candidate[] = [];
  const visit = async (place: string, depth: number): Promise<void> => {
    const stats = await stat(place).catch(() => undefined);
    if (stats?.isFile() && wanted.test(path.basename(place))) {
      found.push({ path: place, size: stats.size, isNamed });
    }
    if (!stats?.isDirectory() || depth > deepest) return;
    for (const entry of await readdir(place, { withFileTypes: true }).catch(() => [])) {
      const inside = path.join(place, entry.name);
      if (entry.isDirectory()) await visit(inside, depth + 1);
      // The cache's snapshots are links to its blobs; a link to a folder may be circular.
      else if (entry.isFile() || (await stat(inside).catch(() => undefined))?.isFile()) {
        await visit(inside, depth + 1);
      }
    }
  };
  for (const place of places) await visit(path.resolve(place), 0);
  return found;
}

/** Finds which of the user's files are parts. Each file is hashed at most once. */
export class Finder {
  readonly #candidates: readonly Candidate[];
  readonly #signal: AbortSignal;
  readonly #log: (text: string) => void;
  readonly #digests = new Map<string, Digest>();
  /** Files already reported as used or not. */
  readonly #spoken = new Set<string>();
  /** Why a file was rejected, for each part that it was checked against. */
  readonly #reasons = new Map<string, string[]>();

  constructor(candidates: readonly Candidate[], signal: AbortSignal, log: (text: string) => void) {
    this.#candidates = candidates;
    this.#signal = signal;
    this.#log = log;
  }

  /** A file that is byte for byte the published one. */
  async same(file: string, size: number, digest: Digest): Promise<Match | undefined> {
    for (const candidate of this.#candidates) {
      if (candidate.size !== size) continue;
      const { hex } = await this.digest(candidate.path, size, digest.algorithm);
      if (hex === digest.hex) return matched('same', candidate.path, [[candidate.path, file]]);
    }
    return undefined;
  }

  /**
   * A file of the same network: the repository's own in diffusers' layout, from the hub's cache; or, if the
   * user named the place, one that has the network's tensors. If there are several of those, none is used: it
   * would be a guess.
   */
  async alike(part: PublishedFile): Promise<Match | undefined> {
    const { file, diffusers, shapes } = part;
    if (diffusers) {
      const inRepo = `models--${diffusers.repo.replaceAll('/', '--')}/snapshots/[^/]+/${diffusers.path}`;
      const pattern = new RegExp(`(?:^|/)${inRepo.replaceAll('.', '\\.')}(?:\\.index\\.json)?$`);
      for (const candidate of this.#candidates) {
        if (!pattern.test(candidate.path.replaceAll(path.sep, '/'))) continue;
        const match = await this.#open(candidate, part);
        if (match) return match;
      }
    }
    if (!shapes && file !== modelFiles.vae) return undefined;
    const matches = new Map<string, Match>();
    for (const candidate of this.#candidates.filter(({ isNamed }) => isNamed)) {
      const match = await this.#open(candidate, part);
      if (match) matches.set(await realpath(candidate.path), match);
    }
    const [first, ...others] = matches.values();
    if (others.length === 0) return first;
    const names = [...matches.values()].map((match) => match.path).join(', ');
    this.#log(`Several files could be ${file}: ${names}. None is used; name one with --from to use it.`);
    return undefined;
  }

  /** Records that a file is used after all. */
  taken({ path: file }: Match): void {
    this.#spoken.add(file);
  }

  /** The files that the user named one by one but that are not used, and why. */
  async notTaken(
    files: readonly string[],
  ): Promise<readonly { readonly file: string; readonly reason: string }[]> {
    const left = files.filter((file) => !this.#spoken.has(file));
    return Promise.all(
      left.map(async (file) => ({ file, reason: await whyNotTaken(file, this.#reasons.get(file) ?? []) })),
    );
  }

  async digest(file: string, size: number, algorithm: Digest['algorithm']): Promise<Digest> {
    const key = `${algorithm} ${file}`;
    const known = this.#digests.get(key);
    if (known) return known;
    if (size > 2 ** 28) this.#log(`Reading ${file} to check whether it can be used…`);
    const digest = await digestOfFile(file, size, algorithm, { signal: this.#signal });
    this.#digests.set(key, digest);
    return digest;
  }

  /** If the candidate is an index, this includes the shards in its folder. */
  async #open(candidate: Candidate, { file, shapes = {}, t5 }: PublishedFile): Promise<Match | undefined> {
    // Only the transformer can be read as GGUF.
    if (isGGUF(candidate.path) && file !== modelFiles.transformer) return undefined;
    const network = networkOf(file);
    if (!network) return undefined;
    try {
      // A VAE alone could be Stable Diffusion 3's, which has exactly the same shapes; next to FLUX.1's
      // transformer, it is FLUX.1's.
      if (network === 'vae' && !(await isBundleOfFlux(candidate.path))) return undefined;
      const weights = await WeightsFile.open(candidate.path, network);
      const sign = signOf([...weights.tensors.keys()]);
      if (sign) return this.#refuse(candidate, sign);
      for (const [name, shape] of Object.entries(shapes)) {
        const parts = weights.parts(name);
        const rows = parts.reduce((sum, part) => sum + matrixShape(part)[0], 0);
        const [, ...columns] = parts[0]!.shape.length > 1 ? matrixShape(parts[0]!) : [];
        if ([rows, ...columns].join() !== shape.join()) {
          const found = `"${name}" as [${[rows, ...columns].join(', ')}]`;
          return this.#refuse(
            candidate,
            `it has ${found}, not [${shape.join(', ')}], so it is another model`,
          );
        }
        // Vectors have 16 bits in both.
        const is8Bit = parts.some(({ dtype }) => dtype === 'F8_E4M3');
        if (t5 && columns.length > 0 && is8Bit !== (t5 === 'fp8')) return undefined;
      }
      const foreign = weights.names
        .filter(isParameter)
        .flatMap((name) => weights.parts(name))
        .find((tensor) => !isComputable(tensor) && !isBlockType(tensor.dtype));
      if (foreign) {
        return this.#refuse(
          candidate,
          `it has "${foreign.name}" as ${foreign.dtype}, which is not supported`,
          true,
        );
      }
      if (!candidate.path.endsWith(indexSuffix)) {
        const name = isGGUF(candidate.path) ? asGGUF(file) : file;
        return matched('alike', candidate.path, [[candidate.path, name]]);
      }
      return matched('alike', candidate.path, [
        [candidate.path, file + indexSuffix],
        // The index refers to them by name, so they keep their names.
        ...weights.files.map((shard): [string, string] => [shard, path.basename(shard)]),
      ]);
    } catch (cause) {
      // Not readable weights, or those of another network.
      return this.#refuse(
        candidate,
        cause instanceof CodedError ? cause.detail.replace(/\.$/, '') : String(cause),
      );
    }
  }

  /**
   * A GGUF rejection is always logged: users with a GGUF file mean to use it, wherever it was found, and the
   * download in its place is four times as large.
   */
  #refuse({ path: file }: Candidate, reason: string, isSaid = isGGUF(file)): undefined {
    this.#reasons.set(file, [...(this.#reasons.get(file) ?? []), reason]);
    if (isSaid) {
      this.#spoken.add(file);
      this.#log(`${file} is not used: ${reason}.`);
    }
    return undefined;
  }
}

function networkOf(file: string): NetworkName | undefined {
  const networks = ['transformer', 't5', 'clip', 'vae'] as const;
  return networks.find((network) => modelFiles[network] === file);
}

async function isBundleOfFlux(file: string): Promise<boolean> {
  const { stored } = await openStored(file);
  if (!networksIn(stored.tensors.keys()).has('transformer')) return false;
  return selectNetwork(stored, 'transformer', file).tensors.has('img_in.weight');
}

function matched(kind: Match['kind'], place: string, links: readonly [string, string][]): Match {
  return { kind, path: place, links: links.map(([target, file]) => ({ target, file })) };
}

/**
 * Links a user's file into a model's folder without copying it: with a symbolic link or, if Windows does not
 * allow that, a hard link, which must be on the same disk.
 * @returns why it failed, or undefined
 */
export async function linkFile(target: string, place: string): Promise<string | undefined> {
  await mkdir(path.dirname(place), { recursive: true });
  // Remove a dangling link.
  if ((await lstat(place).catch(() => undefined))?.isSymbolicLink()) await rm(place);
  // Link to the file itself: the cache's snapshots are links that its next clean-up may remove first.
  const real = await realpath(target);
  try {
    await symlink(real, place, 'file');
    return undefined;
  } catch (cause) {
    if (process.platform !== 'win32') return (cause as Error).message;
  }
  return hardLink(real, place);
}

/** A second name for the same bytes: removing one leaves the other intact. */
export async function hardLink(target: string, place: string): Promise<string | undefined> {
  await mkdir(path.dirname(place), { recursive: true });
  return link(target, place).then(
    () => undefined,
    (cause: Error) => cause.message,
  );
}
