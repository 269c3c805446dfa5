import { CodedError } from '../errors.ts';
import { encodings } from '../picture-format.ts';
import { maxReferences } from './request.ts';

/** The meaning of one tensor in a request. */
export interface RequestLayer<T> {
  readonly tensor: T;
  /** The tensor holds an encoded file, not pixels. */
  readonly encoded: boolean;
}

export interface RequestLayers<T> {
  readonly edit?: RequestLayer<T>;
  readonly mask?: RequestLayer<T>;
  readonly references: readonly RequestLayer<T>[];
}

const tensorName = new RegExp(`^(edit|mask|reference\\.\\d+)(\\.(?:${encodings.join('|')}))?$`);

/**
 * Sorts a request's tensors by name, so a bad request can be refused by its header, before its pixels are
 * read.
 * @throws CodedError `request-invalid`, naming a tensor that is unknown, duplicate or missing
 */
export function sortLayers<T>(tensors: ReadonlyMap<string, T>): RequestLayers<T> {
  const found = new Map<string, RequestLayer<T>>();
  for (const [name, tensor] of tensors) {
    const [, layer, encoding] = tensorName.exec(name) ?? [];
    if (!layer) {
      throw invalid(
        `The request has an unknown tensor "${name}".`,
        `Name tensors "edit", "mask" and "reference.0" to "reference.${maxReferences - 1}", with .${encodings.join(', .')} after the name of an encoded file.`,
      );
    }
    if (found.has(layer)) throw invalid(`The request has "${layer}" twice.`, 'Send each layer once.');
    found.set(layer, { tensor, encoded: encoding !== undefined });
  }
  const references: RequestLayer<T>[] = [];
  for (let reference = found.get('reference.0'); reference; ) {
    references.push(reference);
    reference = found.get(`reference.${references.length}`);
  }
  const count = [...found.keys()].filter((name) => name.startsWith('reference.')).length;
  if (count > maxReferences) {
    throw invalid(
      `The request has ${count} references; the limit is ${maxReferences}.`,
      'Leave some out, or combine several into one picture.',
    );
  }
  if (count !== references.length) {
    throw invalid(
      `The request has ${count} references, but no "reference.${references.length}".`,
      'Number the references from 0 without gaps.',
    );
  }
  const [edit, mask] = [found.get('edit'), found.get('mask')];
  return { ...(edit && { edit }), ...(mask && { mask }), references };
}

function invalid(detail: string, remedy: string): CodedError {
  return new CodedError('request-invalid', { detail, remedy });
}
