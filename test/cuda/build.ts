/**
 * Builds stand-ins for NVIDIA's libraries, so that ONNX Runtime's own CUDA provider opens and runs the networks on a machine without
 * a GPU: it places every node, chooses every kernel and takes all the memory that it would, and computes nothing. Linux x64 only;
 * needs g++, npm, binutils and NVIDIA's headers (in CUDA_HOME, or fetched with pip).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Carries the CUDA 13 provider of ONNX Runtime 1.29.0. */
const providerPackage = 'com.github.asus4.onnxruntime.linux-x64-gpu@0.4.9';
const headersPackage = 'nvidia-cuda-runtime==13.0.96';

const sources = path.join(path.dirname(fileURLToPath(import.meta.url)), 'standin');
/** By the names under which the provider asks for them; cuDNN's functions it looks up by name when it needs them. */
const libraries = {
  'libcudart.so.13': 'cudart.cpp',
  'libcublas.so.13': 'cublas.cpp',
  'libcublasLt.so.13': 'cublasLt.cpp',
  'libcurand.so.10': 'curand.cpp',
  'libcuda.so.1': 'cuda.cpp',
  'libcudnn.so': 'cudnn.cpp',
} as const;

/** @returns the folder to put into LD_LIBRARY_PATH; what was fetched for it is kept in the temporary folder */
export function buildStandIn(): string {
  const folder = path.join(os.tmpdir(), 'acepp-cuda-standin');
  const provider = fetched(folder, 'provider', (into) => {
    run('npm', ['pack', '--silent', providerPackage], into);
    run('tar', ['xzf', `${providerPackage.replace('@', '-')}.tgz`, '--strip-components=4'], into);
  });
  const headers = headersFolder(folder);
  const built = path.join(folder, 'lib');
  rmSync(built, { recursive: true, force: true });
  mkdirSync(built, { recursive: true });
  const binding = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const runtime = path.join(binding, 'bin/napi-v6/linux/x64/libonnxruntime.so.1');
  symlinkSync(runtime, path.join(built, path.basename(runtime)));
  const cuda = 'libonnxruntime_providers_cuda.so';
  for (const name of [cuda, 'libonnxruntime_providers_shared.so']) {
    symlinkSync(path.join(provider, name), path.join(built, name));
  }
  for (const [name, source] of Object.entries(libraries)) {
    compile(name, source, symbolsOf(path.join(provider, cuda), name), { built, headers });
  }
  return built;
}

/** What the provider wants of a library; of cuDNN, the names that it knows. */
function symbolsOf(provider: string, library: string): string[] {
  if (library === 'libcudnn.so') {
    const names = run('strings', ['-n', '6', provider], '.').split('\n');
    return [...new Set(names.filter((name) => /^cudnn[A-Z]\w+$/.test(name)))];
  }
  const wanted = run('nm', ['-D', '--undefined-only', provider], '.').matchAll(/ U (\S+)@(\S+)/g);
  return [...wanted].filter(([, , from]) => from === library).map(([, name]) => name!);
}

/** Functions that the source does not have say that all went well. */
function compile(
  library: string,
  source: string,
  symbols: readonly string[],
  { built, headers }: { built: string; headers: string },
): void {
  const written = readFileSync(path.join(sources, source), 'utf8');
  const missing = symbols.filter((name) => !new RegExp(`\\b${name}\\(`).test(written));
  const whole = path.join(built, source);
  const rest = missing.map((name) => `int ${name}() { return 0; }\n`).join('');
  writeFileSync(whole, `${written}\nextern "C" {\n${rest}}\n`);
  const versions = `${whole}.map`;
  writeFileSync(versions, `${library} { global: *; };\n`);
  const log = library === 'libcudart.so.13' ? [] : [path.join(built, 'libcudart.so.13')];
  const named = [`-Wl,-soname,${library}`, `-Wl,--version-script=${versions}`];
  const flags = ['-O1', '-shared', '-fPIC', '-I', headers, '-o', path.join(built, library), whole, ...named];
  run('g++', [...flags, ...log], built);
}

function headersFolder(folder: string): string {
  const own = path.join(process.env.CUDA_HOME ?? '/usr/local/cuda', 'include');
  if (existsSync(path.join(own, 'cuda_runtime_api.h'))) return own;
  const wheel = fetched(folder, 'headers', (into) => {
    run('python3', ['-m', 'pip', 'install', '--no-deps', '--target', into, headersPackage], into);
  });
  return path.join(wheel, 'nvidia/cu13/include');
}

/** Fetches into a folder, once. */
function fetched(folder: string, name: string, fetch: (into: string) => void): string {
  const whole = path.join(folder, name);
  if (existsSync(whole)) return whole;
  const partial = `${whole}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  fetch(partial);
  renameSync(partial, whole);
  return whole;
}

function run(command: string, args: readonly string[], cwd: string): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 28 });
}
