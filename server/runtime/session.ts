import { InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import { CodedError } from '../../shared/errors.ts';
import type { Provider } from '../../shared/protocol/provider.ts';
import { elementCount } from '../../shared/safetensors.ts';
import type { Model } from '../graph/encode.ts';
import { closedShape, describe, isOpen, openLength, type Value } from '../graph/value.ts';
import { gpuWeights } from './cuda-memory.ts';

/**
 * The providers that this build of ONNX Runtime has on this system; whether one works only shows when a
 * session is opened.
 */
export async function availableProviders(): Promise<string[]> {
  return listSupportedBackends().map(({ name }) => name);
}

/** Prepacking copies every weight. */
const inPlace = { disable_prepacking: '1' };
/** They keep float32 copies of all 16-bit weights, instead of casting each one when it is used. */
const copyingOptimizers = ['ConstantFolding', 'FuseFp16InitializerToFp32NodeTransformer'];

export interface SessionOptions {
  readonly provider: Provider;
  /** Copies weights into the layout that is fastest on the CPU, instead of reading them in place. */
  readonly copiesWeights: boolean;
}

/** Data of the inputs and outputs of a run. */
export type Arrays = Readonly<Record<string, Float32Array | BigInt64Array>>;

/** A loaded model. */
export class Session {
  readonly #session: InferenceSession;
  readonly #model: Model;

  private constructor(session: InferenceSession, model: Model) {
    this.#session = session;
    this.#model = model;
  }

  /**
   * Loads a model; its weights stay in their files, memory-mapped.
   * @throws CodedError `provider-unavailable`
   */
  static async open(model: Model, { provider, copiesWeights }: SessionOptions): Promise<Session> {
    const available = await availableProviders();
    if (!available.includes(provider)) {
      throw unavailable(provider, `this ONNX Runtime has ${available.join(', ')} on this system`);
    }
    const options = {
      executionProviders: [provider],
      // The memory pattern would reserve a block as large as the weights, and the arena would keep everything
      // ever cast or computed; a step is just as fast without them.
      enableMemPattern: false,
      enableCpuMemArena: false,
      extra: {
        session: {
          ...(provider === 'cuda' &&
            gpuWeights(model.weights.map(({ length }) => length)).inPages && {
              use_device_allocator_for_initializers: '1',
            }),
          model_external_initializers_file_folder_path: model.externalFolder,
          // Spinning threads would keep cores busy that the user's own programs need; without them, an edit
          // with pocket uses a sixth less CPU time and takes no longer.
          intra_op: { allow_spinning: '0' },
          ...(!copiesWeights && inPlace),
        },
        ...(!copiesWeights && {
          optimization: { disable_specified_optimizers: copyingOptimizers.join(';') },
        }),
      },
    } satisfies InferenceSession.SessionOptions;
    try {
      return new Session(await InferenceSession.create(model.bytes, options), model);
    } catch (cause) {
      if (provider === 'cpu') throw cause;
      throw unavailable(provider, (cause as Error).message, cause);
    }
  }

  /** One evaluation; blocks the thread while it computes. */
  async run<Output extends string>(
    inputs: Arrays,
    ...outputs: readonly Output[]
  ): Promise<Record<Output, Float32Array>> {
    const feeds: Record<string, Tensor> = {};
    let length: number | undefined;
    for (const input of this.#model.inputs) {
      const data = inputs[input.name];
      length ??= openLengthOf(input, data?.length);
      const shape = closedShape(input.shape, length ?? 0);
      if (data?.length !== elementCount(shape)) {
        const open = length === undefined ? '' : ` with a length of ${length}`;
        throw new Error(
          `input "${input.name}" is ${describe(input)}${open}, but has ${data?.length} elements`,
        );
      }
      feeds[input.name] =
        data instanceof Float32Array ? new Tensor('float32', data, shape) : new Tensor('int64', data, shape);
    }
    const results = await this.#session.run(feeds, [...outputs]);
    const arrays = outputs.map((name) => [name, results[name]?.data] as const);
    return Object.fromEntries(arrays) as Record<Output, Float32Array>;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** The size of the dynamic dimension, if this input has one. */
function openLengthOf({ shape }: Value, elements = 0): number | undefined {
  const open = shape.find(isOpen);
  if (open === undefined) return undefined;
  const others = elementCount(shape.filter((size) => !isOpen(size)));
  return Math.floor(elements / others) - (open - openLength);
}

function unavailable(provider: Provider, reason: string, cause?: unknown): CodedError {
  return new CodedError('provider-unavailable', {
    detail: `The provider "${provider}" cannot be used: ${reason}.`,
    remedy: 'Install what it needs, or choose another provider: the CPU is always there.',
    cause,
  });
}
