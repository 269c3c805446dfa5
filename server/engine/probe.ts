import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Provider } from './provider.ts';

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
