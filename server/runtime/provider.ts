import { CodedError } from '../../shared/errors.ts';
import { type Provider, providers } from '../../shared/protocol/provider.ts';

export { type Provider, providers };

/** The providers to try, best first; if one was requested, only that one. */
export function candidates(
  available: readonly string[],
  wanted: Provider | undefined,
  unusable: ReadonlySet<Provider>,
): readonly Provider[] {
  if (wanted === undefined) {
    return providers.filter((provider) => available.includes(provider) && !unusable.has(provider));
  }
  if (!available.includes(wanted)) {
    throw unavailable(wanted, `this ONNX Runtime has ${available.join(', ')} on this system`);
  }
  return [wanted];
}

export function unavailable(provider: Provider, reason: string, cause?: unknown): CodedError {
  return new CodedError('provider-unavailable', {
    detail: `The provider "${provider}" was asked for and cannot be used: ${reason}.`,
    remedy: `${provider === 'cuda' ? 'On Linux “acepp cuda install” fetches what CUDA needs, and “acepp cuda status” says what is missing' : 'Install what is missing'}; or leave out --provider: then the best one that works is taken, the CPU last.`,
    cause,
  });
}
