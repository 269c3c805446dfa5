/**
 * The engine: a process of its own, because ONNX Runtime blocks the event loop while it computes and because only a
 * process can be ended in the middle of that. It is told what to run by its parent and ends with it.
 */
import { CodedError } from '../../shared/errors.ts';
import { jsonIn, parseMessage } from '../../shared/parse.ts';
import { decodeContainer, encodeContainer } from '../../shared/safetensors.ts';
import { findModel, type ModelEntry } from '../catalogue/catalogue.ts';
import { readBytes, writeDurably } from '../disk/durable.ts';
import type { Networks } from '../models/networks.ts';
import { type EditHooks, runEdit } from '../pipeline/edit.ts';
import { type EditInput, readEditInput } from '../pipeline/input.ts';
import { encodeLayer } from '../pipeline/layer.ts';
import { variantsOf } from '../pipeline/resolve.ts';
import { diagnose } from '../runtime/error-diagnosis.ts';
import { loadNetworks } from '../runtime/load-networks.ts';
import { outOfMemoryError, saysOutOfMemory } from '../runtime/out-of-memory.ts';
import { type Capabilities, probe } from '../runtime/probe.ts';
import { candidates, type Provider, unavailable } from '../runtime/provider.ts';
import { availableProviders } from '../runtime/session.ts';
import { defaultModels } from './default-model.ts';
import { requestFile, resultFile } from './edit-files.ts';
import { placeInMemory } from './memory-placement.ts';
import { engineSettingsSchema, type FromEngine, toEngineSchema } from './messages.ts';
import { readTimings, saveTimings } from './step-timings.ts';

const settings = parseMessage(
  engineSettingsSchema,
  jsonIn(process.argv[2] ?? ''),
  "The engine's command line",
);
const unusable = new Set<Provider>(settings.unusable);

interface Warm {
  readonly networks: Networks;
  /** What the request asked for, which may be nothing, and the model another form of it. */
  readonly wanted: string | undefined;
}

/** The networks of the last edit stay loaded for the next one. */
let warm: Warm | undefined;
let running = false;
let isCancelled = false;

process.on('message', (value) => {
  const message = parseMessage(toEngineSchema, value, "The companion's message");
  if (message.type === 'cancel') isCancelled = true;
  else tell({ type: 'alive' });
  if (message.type === 'run' && !running) void run(message);
});
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole group of processes: the parent decides what happens to the edit.
process.on('SIGINT', () => {});

async function run({ folder, runs }: { folder: string; runs: number }): Promise<void> {
  running = true;
  isCancelled = false;
  let answer: FromEngine = { type: 'finished' };
  try {
    await edit(folder, runs);
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const isMemory = !(thrown instanceof CodedError) && saysOutOfMemory(message);
    const error = isMemory ? outOfMemoryError(message, thrown) : CodedError.from(thrown);
    if (error.code === 'internal') console.error(thrown);
    answer = { type: 'failed', problem: error.toProblem() };
  }
  // Before the answer: the next edit may follow it at once.
  running = false;
  tell(answer);
}

async function edit(folder: string, runs: number): Promise<void> {
  const input = await readEditInput(decodeContainer(await readBytes(requestFile(folder))));
  await checkpoint();
  for (;;) {
    try {
      const loaded = await networksFor(input);
      return await editOn(loaded, input, { folder, runs });
    } catch (cause) {
      // A provider may do the tiny graph and not the networks, whose sessions are opened when they are needed.
      const failed = warm?.networks.provider;
      const isProvider = cause instanceof CodedError && cause.code === 'provider-unavailable';
      if (!isProvider || !failed || failed === 'cpu' || settings.wanted) throw cause;
      setAside(failed, cause.detail);
      await release();
    }
  }
}

interface Loaded {
  readonly networks: Networks;
  /** What loading them took, if this edit is the first that they are there for. */
  readonly seconds?: number;
}

async function editOn(
  { networks, seconds }: Loaded,
  input: EditInput,
  { folder, runs }: { folder: string; runs: number },
): Promise<void> {
  await checkpoint();
  const loading = seconds === undefined ? {} : { loading: seconds };
  const { provider, spec } = networks;
  const hooks: EditHooks = {
    emit: (event) => tell({ type: 'event', event }),
    checkpoint,
    deliver: async (layer) => {
      const timings = { ...loading, ...layer.result.timings };
      const result = { ...layer.result, ...(runs > 1 && { runs }), timings };
      const content = encodeContainer(encodeLayer({ ...layer, result }));
      await writeDurably(resultFile(folder, result.variant), content);
      tell({ type: 'result', result });
    },
  };
  const timings = await runEdit(networks, input, hooks, await readTimings(provider, spec.id));
  if (!timings) return;
  // The layers are kept already: the edit does not fail for this.
  await saveTimings(provider, spec.id, timings).catch((cause) => console.error('paces.json:', cause));
}

/** Lets the parent's messages in: they are read between two turns of the event loop. */
async function checkpoint(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  if (!isCancelled) return;
  throw new CodedError('cancelled', { detail: 'The edit was cancelled.', remedy: 'Run it again.' });
}

async function networksFor({ request }: EditInput): Promise<Loaded> {
  if (warm && warm.wanted === request.model) return warm;
  const variants = variantsOf(request);
  tell({ type: 'event', event: { type: 'stage', stage: 'loading', variant: 0, variants } });
  const started = performance.now();
  await release();
  warm = { ...(await load(request.model)), wanted: request.model };
  tell({ type: 'loaded', provider: warm.networks.provider, model: warm.networks.spec.id });
  return { ...warm, seconds: Math.round(performance.now() - started) / 1000 };
}

async function release(): Promise<void> {
  await warm?.networks.release();
  warm = undefined;
}

/** @param id undefined: the best for what computes here */
async function load(id: string | undefined): Promise<Omit<Warm, 'wanted'>> {
  const asked = id === undefined ? undefined : await findModel(id);
  const { wanted } = settings;
  for (const provider of candidates(await availableProviders(), wanted, unusable)) {
    try {
      let capabilities: Capabilities | undefined;
      if (provider !== 'cpu') {
        tell({ type: 'trying', provider });
        capabilities = await probe(provider);
        tell({ type: 'provider-works', provider });
      }
      const models = asked ? [asked] : await defaultModels(provider);
      return await loadOne(models, provider, capabilities);
    } catch (cause) {
      // What is wrong with the model or the memory is so on every provider; only what the provider itself throws is its own.
      if (cause instanceof CodedError && cause.code !== 'provider-unavailable') throw cause;
      const reason = diagnose(innermostMessage(cause));
      if (saysOutOfMemory(reason)) throw outOfMemoryError(reason, cause);
      if (provider === 'cpu') throw cause;
      if (wanted !== undefined) throw unavailable(provider, reason, cause);
      setAside(provider, reason);
    }
  }
  throw new CodedError('provider-unavailable', {
    detail: 'No provider can be used on this machine, not even the CPU.',
    remedy: 'Install onnxruntime-node again with "npm ci".',
  });
}

/** The first of the models that fits into the memory. */
async function loadOne(
  models: readonly ModelEntry[],
  provider: Provider,
  capabilities: Capabilities | undefined,
): Promise<Omit<Warm, 'wanted'>> {
  const [model, ...others] = models;
  try {
    const { form, plan, note } = await placeInMemory(model!, provider, capabilities?.transformer.type);
    const networks = await loadNetworks(form, { provider, ...capabilities, plan });
    if (note) tell({ type: 'event', event: { type: 'note', text: note } });
    return { networks };
  } catch (cause) {
    if (others.length === 0 || !(cause instanceof CodedError) || cause.code !== 'out-of-memory') throw cause;
    tell({ type: 'event', event: { type: 'note', text: cause.detail } });
    return loadOne(others, provider, capabilities);
  }
}

/** What ONNX Runtime threw, without our words around it. */
function innermostMessage(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? innermostMessage(thrown.cause) : thrown.message;
}

function setAside(provider: Provider, reason: string): void {
  unusable.add(provider);
  tell({ type: 'provider-failed', provider, reason });
}

function tell(message: FromEngine): void {
  // Without a parent there is nobody to tell; the disconnect ends the process.
  if (process.connected) process.send!(message);
}
