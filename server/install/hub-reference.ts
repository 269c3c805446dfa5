/** Ways to refer to a file on the hub: the URL of its page, `owner/repo/path`, or just `owner/repo`. */
import { CodedError } from '../../shared/errors.ts';

export interface HubReference {
  readonly repo: string;
  /** Undefined if only the repository was given. */
  readonly path?: string | undefined;
  readonly revision: string;
}

const page =
  /^https:\/\/(?:huggingface\.co|hf\.co)\/([\w.-]+\/[\w.-]+)(?:\/(?:blob|resolve)\/([^/?#]+)\/([^?#]+)(?:[?#].*)?)?\/?$/;
const short = /^([\w.-]+\/[\w.-]+?)(?:@([\w.-]+))?(?:\/(.+))?$/;

/** @throws CodedError `request-invalid` */
export function parseHubReference(text: string): HubReference {
  const [, repo, revision, path] = page.exec(text) ?? [];
  if (repo) return { repo, path: path && decodeURIComponent(path), revision: revision ?? 'main' };
  const [, shortRepo, shortRevision, shortPath] = /^[a-z]+:/i.test(text) ? [] : (short.exec(text) ?? []);
  if (shortRepo) return { repo: shortRepo, path: shortPath, revision: shortRevision ?? 'main' };
  throw new CodedError('request-invalid', {
    detail: `"${text}" is neither a file on this machine nor a file on the hub.`,
    remedy:
      'Name a .safetensors file, "owner/repo/file.safetensors", or the URL of its page on huggingface.co.',
  });
}
