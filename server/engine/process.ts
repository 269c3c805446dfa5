/**
 * The engine: a separate process, because ONNX Runtime blocks the event loop while it computes, and only a
 * process can be killed in the middle of that. It receives edits from its parent and exits with it.
 */
import { CodedError } from '../../shared/errors.ts';
import { jsonIn, parseMessage } from '../../shared/parse.ts';
import { decodeContainer, encodeContainer } from '../../shared/safetensors.ts';
import { findModel, type ModelEntry } from '../catalogue/catalogue.ts';
import { readBytes, writeDurably } from '../disk/durable.ts';
import type { ComputeDType } from '../graph/precision.ts';
import type { Networks } from '../models/networks.ts';
import { type EditHooks, runEdit } from '../pipeline/edit.ts';
import { type EditInput, readEditInput } from '../pipeline/input.ts';
import { encodeLayer } from '../pipeline/layer.ts';
import { variantsOf } from '../pipeline/resolve.ts';
import { diagnose } from '../runtime/error-diagnosis.ts';
import { loadNetworks } from '../runtime/load-networks.ts';
import type { MemoryPlan } from '../runtime/memory-plan.ts';
import { outOfMemoryError, saysOutOfMemory } from '../runtime/out-of-memory.ts';
import { type Capabilities, probe } from '../runtime/probe.ts';
import { candidates, type Provider, unavailable } from '../runtime/provider.ts';
import { availableProviders } from '../runtime/session.ts';
import { defaultModels } from './default-model.ts';
import { requestFile, resultFile } from './edit-files.ts';
import { placeFirst } from './memory-placement.ts';
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
  /** The model that the request named, if any; the loaded one may be another form of it. */
  readonly wanted: string | undefined;
  /** The dtype the transformer computes in. */
  readonly dtype: ComputeDType;
  readonly plan: MemoryPlan | undefined;
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
  if (message.type === 'survey') void survey().catch((thrown) => tell(failure(thrown)));
});
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole process group: the parent decides what happens to the edit.
process.on('SIGINT', () => {});

async function run({ folder, runs }: { folder: string; runs: number }): Promise<void> {
  running = true;
  isCancelled = false;
  let answer: FromEngine = { type: 'finished' };
  try {
    await edit(folder, runs);
  } catch (thrown) {
    answer = failure(thrown);
  }
  // Before the answer, because the next edit may follow immediately.
  running = false;
  tell(answer);
}

function failure(thrown: unknown): FromEngine {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const isMemory = !(thrown instanceof CodedError) && saysOutOfMemory(message);
  const error = isMemory ? outOfMemoryError(message, thrown) : CodedError.from(thrown);
  if (error.code === 'internal') console.error(thrown);
  return { type: 'failed', problem: error.toProblem() };
}

async function edit(folder: string, runs: number): Promise<void> {
  const input = await readEditInput(decodeContainer(await readBytes(requestFile(folder))));
  await checkpoint();
  for (;;) {
    try {
      const loaded = await networksFor(input);
      return await editOn(loaded, input, { folder, runs });
    } catch (cause) {
      // A provider may run the tiny graph but not the networks, whose sessions only open when needed.
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
  /** Seconds it took to load them, if this edit is the first to use them. */
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
  const timings = await runEdit(networks, input, hooks, await readTimings(provider, spec.id), seconds);
  if (!timings) return;
  // The layers are already saved, so the edit does not fail because of this.
  await saveTimings(provider, spec.id, timings).catch((cause) => console.error('paces.json:', cause));
}

/** Lets the event loop read the parent's messages. */
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
  const { networks, dtype, plan } = warm;
  const memory = plan && { bytes: plan.bytes, inTurn: plan.inTurn, fittingSequence: plan.fittingSequence };
  const described = {
    provider: networks.provider,
    dtype,
    model: networks.spec.id,
    ...(memory && { memory }),
  };
  tell({ type: 'loaded', ...described, wanted: request.model ?? null });
  return { ...warm, seconds: Math.round(performance.now() - started) / 1000 };
}

async function release(): Promise<void> {
  await warm?.networks.release();
  warm = undefined;
}

/** @param id undefined: the best model for this device */
async function load(id: string | undefined): Promise<Omit<Warm, 'wanted'>> {
  const asked = id === undefined ? undefined : await findModel(id);
  const { wanted } = settings;
  for (const provider of candidates(await availableProviders(), wanted, unusable)) {
    try {
      const capabilities = await tryProvider(provider);
      const models = asked ? [asked] : await defaultModels(provider);
      return await loadOne(models, provider, capabilities);
    } catch (cause) {
      // Problems with the model or memory affect every provider; only errors of the provider itself are
      // specific to it.
      if (cause instanceof CodedError && cause.code !== 'provider-unavailable') throw cause;
      const reason = diagnose(innermostMessage(cause));
      if (saysOutOfMemory(reason)) throw outOfMemoryError(reason, cause);
      if (provider === 'cpu') throw cause;
      if (wanted !== undefined) throw unavailable(provider, reason, cause);
      setAside(provider, reason);
    }
  }
  throw noProvider();
}

/** What a provider other than the CPU computes correctly, found by running a tiny graph. */
async function tryProvider(provider: Provider): Promise<Capabilities | undefined> {
  if (provider === 'cpu') return undefined;
  tell({ type: 'trying', provider });
  const capabilities = await probe(provider);
  tell({ type: 'provider-works', provider });
  return capabilities;
}

/** Reports which device edits will run on; loads nothing. */
async function survey(): Promise<void> {
  const { wanted } = settings;
  for (const provider of candidates(await availableProviders(), wanted, unusable)) {
    try {
      const capabilities = await tryProvider(provider);
      return tell({ type: 'surveyed', provider, dtype: capabilities?.transformer.type ?? 'float32' });
    } catch (cause) {
      if (wanted !== undefined) throw unavailable(provider, diagnose(innermostMessage(cause)), cause);
      setAside(provider, diagnose(innermostMessage(cause)));
    }
  }
  throw noProvider();
}

function noProvider(): CodedError {
  return new CodedError('provider-unavailable', {
    detail: 'No provider works on this machine, not even the CPU.',
    remedy: 'Install onnxruntime-node again with "npm ci".',
  });
}

/** The first of the models that fits into memory. */
async function loadOne(
  models: readonly ModelEntry[],
  provider: Provider,
  capabilities: Capabilities | undefined,
): Promise<Omit<Warm, 'wanted'>> {
  const { form, plan, notes } = await placeFirst(models, provider, capabilities?.transformer.type);
  for (const text of notes) tell({ type: 'event', event: { type: 'note', text } });
  const networks = await loadNetworks(form, { provider, ...capabilities, plan });
  return { networks, dtype: capabilities?.transformer.type ?? 'float32', plan };
}

/** ONNX Runtime's own error, without our wrapping. */
function innermostMessage(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? innermostMessage(thrown.cause) : thrown.message;
}

function setAside(provider: Provider, reason: string): void {
  unusable.add(provider);
  tell({ type: 'provider-failed', provider, reason });
}

function tell(message: FromEngine): void {
  // Without a parent there is nobody to report to; the disconnect ends the process.
  if (process.connected) process.send!(message);
}
