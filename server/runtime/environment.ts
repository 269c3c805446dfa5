/**
 * The environment of the engine process: ONNX Runtime's settings, and the folder of NVIDIA's libraries, if
 * installed.
 */
import { existsSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { homeFolder, projectRoot } from '../disk/paths.ts';

export const ortSettings = {
  // ONNX Runtime 1.29 sends telemetry to Microsoft unless it is disabled (microsoft/onnxruntime pull request
  // 27379).
  ORT_DISABLE_TELEMETRY: '1',
  // Number GPUs as nvidia-smi does, so that the memory it reports is that of the GPU we use; CUDA's own order
  // is by speed.
  CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
  // Below compute capability 9.0, ONNX Runtime 1.29 only gets flash attention in bfloat16 from cuDNN, and
  // only with this setting; otherwise it uses a kernel that is about half as fast.
  ORT_ENABLE_CUDNN_FLASH_ATTENTION: '1',
  // Below 8.0, long sequences would use TensorRT's kernel, not the one for the short sequences that the
  // engine probes.
  ORT_DISABLE_TRT_FLASH_ATTENTION: '1',
};

/** The libraries that belong together: another set gets another folder. */
export const cudaRelease = 'onnxruntime-1.29.0-cuda-13.0.3';

/**
 * Where `acepp cuda install` puts ONNX Runtime's CUDA provider and NVIDIA's libraries; complete or absent.
 */
export function cudaFolder(): string {
  return path.join(homeFolder(), 'cuda', cudaRelease);
}

export function engineEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, ...ortSettings, ...libraryPath() };
}

/**
 * ONNX Runtime looks for its providers next to the loaded library, and the loader searches this folder before
 * the binding's. So what is installed in the data folder survives `npm ci`, and nothing is added to
 * node_modules.
 */
function libraryPath(): NodeJS.ProcessEnv {
  const folder = cudaFolder();
  if (process.platform !== 'linux' || !existsSync(folder)) return {};
  try {
    linkRuntime(folder);
  } catch (cause) {
    // The CPU still works, and CUDA reports that its library is missing.
    console.error(`${folder}: ${(cause as Error).message}`);
    return {};
  }
  const before = process.env.LD_LIBRARY_PATH;
  return { LD_LIBRARY_PATH: before ? `${folder}:${before}` : folder };
}

const runtimeName = 'libonnxruntime.so.1';

/** The folder of the runtime that npm installed. */
function runtimeFolder(): string {
  const manifest = createRequire(path.join(projectRoot, 'package.json')).resolve(
    'onnxruntime-node/package.json',
  );
  return path.join(path.dirname(manifest), 'bin/napi-v6/linux/x64');
}

/** Links this project's runtime next to the providers; relinks it if the project has moved. */
function linkRuntime(folder: string): void {
  const target = path.join(runtimeFolder(), runtimeName);
  const link = path.join(folder, runtimeName);
  try {
    if (readlinkSync(link) === target) return;
  } catch {
    // It doesn't exist yet.
  }
  const made = `${link}.${process.pid}`;
  rmSync(made, { force: true });
  symlinkSync(target, made);
  renameSync(made, link);
}

/** A GPU with a driver, in Linux itself or in the Windows that hosts WSL2. */
function hasNvidiaCard(): boolean {
  return ['/dev/nvidiactl', '/usr/lib/wsl/lib/libcuda.so.1'].some((file) => existsSync(file));
}

/** What to run to enable an NVIDIA GPU; undefined if everything is installed or there is no GPU. */
export function cudaAdvice(): string | undefined {
  if (process.platform !== 'linux' || !hasNvidiaCard()) return undefined;
  // Installed manually, or by onnxruntime-node's own script.
  const own = path.join(runtimeFolder(), 'libonnxruntime_providers_cuda.so');
  if (existsSync(cudaFolder()) || existsSync(own)) return undefined;
  return 'This computer has an NVIDIA GPU: “acepp cuda install” fetches what lets it compute (1.3 GB).';
}
