import { InferenceSession, Tensor } from 'onnxruntime-node';
import { CodedError } from '../../shared/errors.ts';
import type { Provider } from '../graph/session.ts';

export type { Provider };

/** In the order in which they are tried: the fastest first. */
export const providers: readonly Provider[] = ['cuda', 'dml', 'webgpu', 'cpu'];

/** `y = x + x` over four floats as an ONNX model (IR 9, opset 20): the least that a provider must be able to do. */
const doubling = Buffer.from(
  'CAk6OQoOCgF4CgF4EgF5IgNBZGQSBXByb2JlWg8KAXgSCgoICAESBAoCCARiDwoBeRIKCggIARIECgIIBEIECgAQFA==',
  'base64',
);

/**
 * Runs a tiny graph on a provider.
 * @throws what ONNX Runtime throws where the provider's library or its device is missing; the reason may be on stderr only
 */
export async function probe(provider: Provider): Promise<void> {
  const session = await InferenceSession.create(doubling, { executionProviders: [provider] });
  try {
    const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(1, 2, 3, 4), [4]) });
    if (String(y?.data) !== '2,4,6,8') throw new Error(`It computes 1 2 3 4 twice as ${y?.data}`);
  } finally {
    await session.release();
  }
}

/** The providers to try, best first; the one that was asked for and nothing else, if one was. */
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
    remedy:
      'Install what is missing, or leave out --provider: then the best one that works is taken, the CPU last.',
    cause,
  });
}
