/** Hugging Face's hub, or a mirror of it, over HTTP: describes files and reads ranges of their bytes. */
import { CodedError } from '../../shared/errors.ts';
import type { Digest } from './digest.ts';
import type { Source } from './published.ts';
import { Interrupted, interruptionOf, retryAfter, Transport } from './transport.ts';

export const officialEndpoint = 'https://huggingface.co';

/** A file as the hub describes it. */
export interface RemoteFile {
  readonly repo: string;
  readonly path: string;
  /** The commit, if the hub reports it, so that all requests of an installation get the same bytes. */
  readonly revision: string;
  readonly size: number;
  readonly digest: Digest;
}

export interface HubOptions {
  /** `HF_ENDPOINT`, as in the hub's own clients. */
  readonly endpoint: string;
  /** `HF_TOKEN` */
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
  /** A connection that sends nothing for this long is dropped. */
  readonly stallMs?: number;
}

export class Hub {
  readonly #endpoint: URL;
  readonly #token: string | undefined;
  readonly #transport: Transport;

  /** @throws CodedError `request-invalid` if the endpoint is not a URL or the token is malformed */
  constructor({ endpoint, token, signal, stallMs }: HubOptions) {
    this.#endpoint = endpointURL(endpoint);
    this.#token = token?.trim() || undefined;
    // Checked here so that the error does not contain the token; fetch would put it into its message.
    if (this.#token && !/^[\x21-\x7e]+$/.test(this.#token)) {
      throw new CodedError('request-invalid', {
        detail: 'HF_TOKEN has characters that no token has, such as a space, a line break or a curly quote.',
        remedy: `Copy the token again from ${officialEndpoint}/settings/tokens.`,
      });
    }
    const headersFor = (url: URL) => this.#authorization(url);
    this.#transport = new Transport({ signal, stallMs, headersFor });
  }

  /**
   * Size, hash and commit of a file, from the headers that the hub's own clients read (huggingface_hub,
   * constants.py and file_download.py: `X-Linked-Size`, `X-Linked-Etag`, `X-Repo-Commit`).
   * @throws CodedError `hub-refused`, `hub-wrong`; Interrupted
   */
  async describe(source: Omit<Source, 'licence'>): Promise<RemoteFile> {
    const { repo, path, revision } = source;
    const { response, headers, end } = await this.#transport.request(
      'HEAD',
      fileURL(this.#endpoint, source),
      {
        check: (response) => this.#check(response, source),
        // Do not follow the redirect to storage: these headers already have everything.
        isEnough: ({ headers }) => headers.has('x-linked-etag'),
      },
    );
    end();
    // Any response in the redirect chain may have the commit.
    const commit = headers.map((told) => told.get('x-repo-commit')).find(Boolean) ?? '';
    const sizeText = response.headers.get('x-linked-size') ?? response.headers.get('content-length');
    const size = sizeText === null ? (source.size ?? 0) : Number(sizeText);
    const etag = response.headers.get('x-linked-etag') ?? response.headers.get('etag') ?? '';
    const hex = /^(?:W\/)?"?([0-9a-f]+)"?$/.exec(etag)?.[1] ?? '';
    const told: Digest | undefined =
      hex.length === 64
        ? { algorithm: 'sha256', hex }
        : hex.length === 40
          ? { algorithm: 'git-sha1', hex }
          : undefined;
    const known: Digest | undefined =
      source.sha256 === undefined ? undefined : { algorithm: 'sha256', hex: source.sha256 };
    const wrong = (what: string) =>
      new CodedError('hub-wrong', {
        detail: `${this.#endpoint.origin} ${what} for ${repo}/${path} at ${revision}.`,
        remedy: `If HF_ENDPOINT is set, unset it: its mirror is not exact. Otherwise update ACE++ Layers.`,
      });
    if (!Number.isSafeInteger(size) || size <= 0) throw wrong('reports no size');
    if (source.size !== undefined && source.size !== size) {
      throw wrong(`reports ${size} bytes instead of the published ${source.size}`);
    }
    if (known && told?.algorithm === 'sha256' && told.hex !== known.hex) {
      throw wrong(`reports SHA-256 ${told.hex} instead of the published ${known.hex}`);
    }
    const digest = known ?? told;
    if (!digest) throw wrong('reports no hash');
    return { repo, path, size, digest, revision: /^[0-9a-f]{40}$/.test(commit) ? commit : revision };
  }

  /**
   * Yields the bytes of a file from `begin` up to `end`; it may stop early.
   * @throws CodedError `hub-refused`; Interrupted
   */
  read(file: RemoteFile, begin: number, end: number): AsyncGenerator<Uint8Array> {
    const check = (response: Response) => this.#check(response, file);
    return this.#transport.read(fileURL(this.#endpoint, file), file.size, { begin, end }, check);
  }

  #authorization(url: URL): Record<string, string> {
    const isMeant = this.#token && url.origin === this.#endpoint.origin && keepsSecrets(url);
    return isMeant ? { authorization: `Bearer ${this.#token}` } : {};
  }

  #check(response: Response, file: { repo: string; path: string; revision: string }): void {
    const { status, headers } = response;
    if (status < 400 || status === 416) return;
    const isStorage = response.url !== '' && new URL(response.url).origin !== this.#endpoint.origin;
    const name = `${file.repo}/${file.path}`;
    // A storage URL is signed for an hour; the hub issues a new one.
    const interruption =
      isStorage && status === 403
        ? new Interrupted(`${new URL(response.url).host} answered 403`, {
            retryAfterMs: retryAfter(headers),
          })
        : interruptionOf(response);
    if (interruption) throw interruption;
    if (status === 401 || status === 403) throw this.#refused(status, file.repo);
    if (status === 404) {
      throw new CodedError('hub-refused', {
        detail: `${this.#endpoint.origin} has no ${name} at revision ${file.revision} (404).`,
        remedy:
          'Update ACE++ Layers, because the file may have moved. If HF_ENDPOINT is set, the mirror may not have it.',
      });
    }
    throw new CodedError('hub-refused', {
      detail: `${new URL(response.url).host} refused ${name} with ${status}.`,
      remedy: 'Try again later. If HF_ENDPOINT is set, try without it.',
    });
  }

  #refused(status: number, repo: string): CodedError {
    const page = `${officialEndpoint}/${repo}`;
    const tokens = `${officialEndpoint}/settings/tokens`;
    if (!this.#token) {
      return new CodedError('hub-refused', {
        detail: `${repo} is only for users who have accepted its licence on its page, and no HF_TOKEN is set (${status}).`,
        remedy: `1. Sign in and accept the licence at ${page}. 2. Create a token of type "Read" at ${tokens}. 3. Set HF_TOKEN to it and run this again.`,
      });
    }
    if (status === 401) {
      return new CodedError('hub-refused', {
        detail: `${this.#endpoint.origin} does not know the token in HF_TOKEN, or it has expired (401, for ${repo}).`,
        remedy: `Create a new token of type "Read" at ${tokens}, set HF_TOKEN to it and run this again.`,
      });
    }
    return new CodedError('hub-refused', {
      detail: `The account of HF_TOKEN has no access to ${repo} (403).`,
      remedy: `Accept its licence at ${page} with the same account. A fine-grained token also needs "Read access to contents of all public gated repos you can access" (${tokens}).`,
    });
  }
}

function endpointURL(endpoint: string): URL {
  try {
    const url = new URL(endpoint);
    if (url.protocol === 'https:' || url.protocol === 'http:') return url;
  } catch {
    // Reported below.
  }
  throw new CodedError('request-invalid', {
    detail: `HF_ENDPOINT is "${endpoint}", which is not a URL.`,
    remedy: `Unset it, or set it to a URL such as ${officialEndpoint}.`,
  });
}

function fileURL(
  endpoint: URL,
  { repo, path, revision }: { repo: string; path: string; revision: string },
): URL {
  const base = endpoint.href.replace(/\/+$/, '');
  return new URL(`${base}/${repo}/resolve/${encodeURIComponent(revision)}/${path}`);
}

/** Whether a token may be sent: only over encrypted connections, or to this machine. */
function keepsSecrets({ protocol, hostname }: URL): boolean {
  return (
    protocol === 'https:' || hostname === '127.0.0.1' || hostname === 'localhost' || hostname === '[::1]'
  );
}
