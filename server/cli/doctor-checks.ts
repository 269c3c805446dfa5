/** The checks of `acepp doctor`. They are independent, so that a failure in one hides no other. */
import { execFile, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import manifest from '../../manifest.json' with { type: 'json' };
import { CodedError } from '../../shared/errors.ts';
import { findInstalled, listAdapters, modelsFolder, pocket } from '../catalogue/catalogue.ts';
import { homeFolder, projectRoot } from '../disk/paths.ts';
import { freeBytes } from '../disk/read-range.ts';
import { oldestDriver } from '../install/cuda-archives.ts';
import { sizeText } from '../install/text.ts';
import { cudaAdvice, cudaFolder, engineEnvironment } from '../runtime/environment.ts';
import { diagnose } from '../runtime/error-diagnosis.ts';
import { exceptionIn, loadFailure } from '../runtime/load-failure.ts';
import { driverVersion, hiddenBy, listGPUs, type NVIDIAGPU, visibleDevices } from '../runtime/nvidia.ts';
import { openModel } from '../runtime/open-model.ts';

export interface Check {
  readonly title: string;
  /** `note`: edits work, but not as well as they could. */
  readonly state: 'ok' | 'note' | 'wrong';
  readonly text: string;
  readonly remedy?: string | undefined;
}

export async function* allChecks(): AsyncGenerator<Check> {
  yield checkNode(process.versions.node);
  const runtime = await tryRuntime();
  yield runtime.check;
  for (const name of runtime.providers) yield await tryProvider(name);
  const gpus = await listGPUs();
  const driver = await driverVersion();
  yield checkGPU(gpus, driver, process.env.CUDA_VISIBLE_DEVICES);
  if (driver !== undefined) yield await checkLibraries();
  yield checkMemory(os.freemem(), os.totalmem());
  yield await checkDisk(homeFolder(), await freeBytes(homeFolder()));
  yield await checkPorts(process.env.ACEPP_PORT);
  yield* checkModels();
}

const oldestNode = [20, 9] as const;

export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isOld = major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1]);
  const text = `${version} on ${process.platform}-${process.arch}`;
  if (!isOld) return { title: 'Node.js', state: 'ok', text };
  return {
    title: 'Node.js',
    state: 'wrong',
    text,
    remedy: `Install Node.js ${oldestNode.join('.')} or newer.`,
  };
}

/** The hidden command that loads ONNX Runtime and lists its providers. */
export const runtimeCommand = 'runtime';

async function tryRuntime(): Promise<{ readonly check: Check; readonly providers: readonly string[] }> {
  const title = 'ONNX Runtime';
  const { answer, said } = await runHidden(['doctor', runtimeCommand]);
  if (Array.isArray(answer)) {
    const names: unknown[] = answer;
    return {
      check: { title, state: 'ok', text: `loads; it knows ${names.join(', ')}` },
      providers: tried.filter((name) => names.includes(name)),
    };
  }
  const failure = loadFailure(said);
  const reason =
    failure?.reason ?? exceptionIn(said) ?? (diagnose(said) || 'its process ended without a word');
  const text = `cannot be loaded: ${reason}`;
  return {
    check: { title, state: 'wrong', text, remedy: failure?.remedy ?? 'Run "npm ci" again.' },
    providers: [],
  };
}

/** The hidden command that tries a provider. */
export const providerCommand = 'provider';

/** The GPU providers, fastest first. */
const tried = ['cuda', 'dml', 'webgpu'] as const;

async function tryProvider(name: string): Promise<Check> {
  const title = `Provider ${name}`;
  const { answer, said } = await runHidden(['doctor', providerCommand, name]);
  const { transformer } = (answer ?? {}) as { transformer?: { type: string } };
  if (transformer) return { title, state: 'ok', text: `computes, FLUX in ${transformer.type}` };
  const text = `does not compute: ${diagnose(said).slice(0, 300) || 'its process ended without a word'}`;
  const advice = name === 'cuda' ? cudaAdvice() : undefined;
  return { title, state: 'note', text, remedy: advice ?? 'Edits run on another provider, the CPU last.' };
}

/** In milliseconds: a hanging driver must not hold up the page. */
const longestTrial = 60_000;

/** What a hidden command sends, or what it wrote to stderr. */
function runHidden(args: readonly string[]): Promise<{ readonly answer: unknown; readonly said: string }> {
  return new Promise((resolve) => {
    const child = fork(path.join(projectRoot, 'dist/server/acepp.js'), [...args], {
      env: engineEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let [answer, said]: [unknown, string] = [undefined, ''];
    child.on('message', (message) => {
      answer = message;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), longestTrial);
    child.once('close', () => {
      clearTimeout(timer);
      resolve({ answer, said });
    });
  });
}

export function checkGPU(
  gpus: readonly NVIDIAGPU[],
  driver: string | undefined,
  setting: string | undefined,
): Check {
  const title = 'NVIDIA GPU';
  if (driver === undefined) {
    const isThere = existsSync('/dev/nvidiactl') || existsSync('/dev/dxg');
    return {
      title,
      state: 'note',
      text: isThere
        ? 'there is one, but no driver answers'
        : 'no driver was found; edits run on another GPU or the CPU',
      remedy: `With an NVIDIA GPU, install its driver, ${oldestDriver} or newer; in a container, start it with --gpus all.`,
    };
  }
  if (Number.parseInt(driver, 10) < oldestDriver) {
    return {
      title,
      state: 'wrong',
      text: `driver ${driver}`,
      remedy: `CUDA 13 needs driver ${oldestDriver} or newer.`,
    };
  }
  const hidden = hiddenBy(setting, gpus);
  if (hidden) return { title, state: 'wrong', text: hidden, remedy: 'Unset it, or name one of them.' };
  const [device] = visibleDevices(setting, gpus);
  if (!device) return { title, state: 'note', text: `driver ${driver}, but nothing names the GPU` };
  const memory =
    device.free === undefined ? '' : `, ${sizeText(device.free)} of ${sizeText(device.total ?? 0)} free`;
  return { title, state: 'ok', text: `${device.name}${memory}, driver ${driver}` };
}

/**
 * The libraries that ONNX Runtime's CUDA provider loads (readelf -d libonnxruntime_providers_cuda.so), and
 * the provider itself.
 */
const cudaLibraries = [
  'libonnxruntime_providers_cuda.so',
  'libcublasLt.so.13',
  'libcublas.so.13',
  'libcurand.so.10',
  'libcudart.so.13',
  'libcudnn.so.9',
];

async function checkLibraries(): Promise<Check> {
  const title = 'CUDA libraries';
  if (process.platform !== 'linux') return { title, state: 'ok', text: 'not needed here' };
  const folders = [cudaFolder(), ...(process.env.LD_LIBRARY_PATH ?? '').split(':').filter(Boolean)];
  const cache = await promisify(execFile)('ldconfig', ['-p']).then(
    ({ stdout }) => stdout,
    () => '',
  );
  const missing: string[] = [];
  for (const name of cudaLibraries) {
    const places = folders.map((folder) => access(path.join(folder, name)));
    const isThere = await Promise.any(places).then(
      () => true,
      () => cache.includes(`${name} `),
    );
    if (!isThere) missing.push(name);
  }
  if (missing.length === 0) return { title, state: 'ok', text: cudaLibraries.join(', ') };
  const remedy = cudaAdvice() ?? '"acepp cuda install" fetches them.';
  return { title, state: 'note', text: `missing: ${missing.join(', ')}`, remedy };
}

/** Pocket needs less; the models on FLUX.1 read their weights from disk if memory is short. */
const leastMemory = 2e9;

export function checkMemory(free: number, total: number): Check {
  const text = `${sizeText(free)} of ${sizeText(total)} free`;
  if (total >= leastMemory) return { title: 'Memory', state: 'ok', text };
  return {
    title: 'Memory',
    state: 'note',
    text,
    remedy: 'Close other programs: large pictures may not fit.',
  };
}

/** Each edit stores its request and its layers. */
const leastDisk = 500e6;

/** @param free bytes on the folder's disk */
export async function checkDisk(home: string, free: number): Promise<Check> {
  const title = 'Disk';
  const text = `${sizeText(free)} free in ${home}`;
  const remedy = 'Free some space, or set ACEPP_HOME to a folder on another disk.';
  if (free < leastDisk) return { title, state: 'wrong', text: `${text}: too little for edits`, remedy };
  const probe = path.join(home, `.doctor-${process.pid}`);
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeFile(probe, '');
    await rm(probe);
  } catch (cause) {
    return { title, state: 'wrong', text: `${home} cannot be written: ${(cause as Error).message}`, remedy };
  }
  return { title, state: 'ok', text };
}

/** @param setting ACEPP_PORT */
export async function checkPorts(setting: string | undefined): Promise<Check> {
  const title = 'Ports';
  const ports = setting ? [Number(setting)] : manifest.ports;
  const taken: string[] = [];
  for (const port of ports) {
    if (await isFree(port)) continue;
    if (await isCompanion(port)) return { title, state: 'ok', text: `the companion runs at ${port}` };
    taken.push(String(port));
  }
  if (taken.length === 0) return { title, state: 'ok', text: `${ports.join(', ')} free` };
  const isLast = taken.length === ports.length;
  return {
    title,
    state: isLast ? 'wrong' : 'note',
    text: `another program has ${taken.join(', ')}`,
    remedy: isLast
      ? 'End that program, or set ACEPP_PORT to a free port.'
      : 'The companion takes the next one.',
  };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)));
  });
}

async function isCompanion(port: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(2000);
    const answer = (await (await fetch(`http://127.0.0.1:${port}/v1/health`, { signal })).json()) as {
      name?: string;
    };
    return answer.name === manifest.name;
  } catch {
    return false;
  }
}

async function* checkModels(): AsyncGenerator<Check> {
  const entries = await readdir(modelsFolder(), { withFileTypes: true }).catch(() => []);
  const own = entries.filter((entry) => !entry.isFile()).map(({ name }) => name);
  for (const id of [pocket.id, ...own]) {
    const title = `Model ${id}`;
    try {
      const model = await findInstalled(id);
      await openModel(model);
      const adapters = await listAdapters(model);
      const text = adapters.length > 0 ? `complete, with the adapters ${adapters.join(', ')}` : 'complete';
      yield { title, state: 'ok', text };
    } catch (cause) {
      const { detail, remedy } = CodedError.from(cause);
      yield { title, state: 'wrong', text: detail, remedy };
    }
  }
}
