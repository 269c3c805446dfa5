import { CodedError } from '../../../shared/errors.ts';

const defaultRemedy = 'Use an adapter that was made for FLUX.1, or for this model.';

export function adapterInvalid(
  detail: string,
  { cause, remedy = defaultRemedy }: { readonly cause?: unknown; readonly remedy?: string } = {},
): CodedError {
  return new CodedError('adapter-invalid', { detail, remedy, cause });
}
