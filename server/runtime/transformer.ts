import type { WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import type { Precision } from '../graph/precision.ts';
import {
  buildFlux,
  buildFluxFirst,
  buildFluxLast,
  buildFluxRest,
  builtLength,
  fluxSizes,
  rotaryTables,
  sinusoidalEmbedding,
} from '../models/flux.ts';
import type { TransformerStep } from '../models/networks.ts';
import type { FirstBlockCache } from '../sampling/first-block-cache.ts';
import type { OpenAdapters } from './adapters.ts';
import type { Session, SessionOptions } from './session.ts';
import { SessionCache } from './session-cache.ts';

export interface TransformerParts {
  readonly file: WeightsFile;
  readonly precision: Precision;
  readonly session: SessionOptions;
  /** Sessions to keep open, for sequences of different lengths. */
  readonly capacity: number;
  readonly adapters: OpenAdapters;
}

/** FLUX with its adapters: whole, or in three parts if steps may be taken from a cache. */
export function openTransformer({ file, precision, session, capacity, adapters }: TransformerParts) {
  const sizes = fluxSizes(file);
  const sessions = {
    whole: new SessionCache(capacity, session),
    first: new SessionCache(capacity, session),
    rest: new SessionCache(capacity, session),
    last: new SessionCache(capacity, session),
  };
  let tables: ({ readonly key: string } & ReturnType<typeof rotaryTables>) | undefined;

  async function release(parts: readonly (keyof typeof sessions)[]): Promise<void> {
    for (const part of parts) await sessions[part].release();
  }

  /** The inputs shared by all parts, and the sessions for this length and these adapters. */
  async function prepare({ rows, columns, conditioning, adapters: wanted = [] }: TransformerStep) {
    const { textTokens } = conditioning;
    // The graph only knows the number of tokens; their layout is in the tables.
    const tokens = rows * columns;
    const { opened, names, inputs } = await adapters.use(wanted, 'transformer');
    const key = [textTokens, rows, columns].join();
    if (tables?.key !== key) tables = { key, ...rotaryTables(sizes.headSize, textTokens, rows, columns) };
    const { cosine, sine } = tables;
    const length = builtLength(precision, tokens);
    const get = (part: keyof typeof sessions, build: typeof buildFlux): Promise<Session> =>
      sessions[part].get(
        [length, textTokens, ...names],
        (): Model => build(file, length, textTokens, opened, precision),
      );
    return { get, common: { cosine, sine, ...inputs } };
  }

  function inputsOf({ input, conditioning: { text, pooled }, sigma, guidance }: TransformerStep) {
    const [timestep, guidanceEmbedding] = [sinusoidalEmbedding(sigma), sinusoidalEmbedding(guidance)];
    return { image: input, text, pooled, timestep, guidance: guidanceEmbedding };
  }

  async function velocity(step: TransformerStep): Promise<Float32Array> {
    if (step.cache) return cachedVelocity(step, step.cache);
    const { get, common } = await prepare(step);
    // The weights are the same, so don't load them twice.
    await release(['first', 'rest', 'last']);
    const whole = await get('whole', buildFlux);
    return (await whole.run({ ...common, ...inputsOf(step) }, 'velocity')).velocity;
  }

  async function cachedVelocity(step: TransformerStep, cache: FirstBlockCache): Promise<Float32Array> {
    const { get, common } = await prepare(step);
    await release(['whole']);
    const first = await get('first', buildFluxFirst);
    const begun = await first.run(
      { ...common, ...inputsOf(step) },
      'begunImage',
      'begunText',
      'change',
      'modulation',
    );
    const finishedImage = await cache.after(begun.begunImage, begun.change, async () => {
      const rest = await get('rest', buildFluxRest);
      return (await rest.run({ ...common, ...begun }, 'finishedImage')).finishedImage;
    });
    const last = await get('last', buildFluxLast);
    const { modulation } = begun;
    return (await last.run({ ...common, finishedImage, modulation }, 'velocity')).velocity;
  }

  return {
    sizes,
    velocity,
    release: () => release(['whole', 'first', 'rest', 'last']),
  };
}
