/** What the engine's process is started with: ONNX Runtime's settings, and the folder of NVIDIA's libraries, if it was installed. */
import { existsSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { homeFolder, projectRoot } from '../disk/paths.ts';

export const ortSettings = {
  // ONNX Runtime 1.29 reports to Microsoft unless it is told not to (microsoft/onnxruntime pull request 27379).
  ORT_DISABLE_TELEMETRY: '1',
  // GPUs are counted as nvidia-smi does, so that the memory it tells is of the GPU that computes; CUDA's own order is by speed.
  CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
  // Before compute capability 9.0, ONNX Runtime 1.29 takes flash attention in bfloat16 only from cuDNN, and only if it is told
  // to; else a kernel that is about half as fast.
  ORT_ENABLE_CUDNN_FLASH_ATTENTION: '1',
  // Before 8.0 long sequences would take TensorRT's kernel, which is another than that of the short ones which the engine tries.
  ORT_DISABLE_TRT_FLASH_ATTENTION: '1',
};

/** Which libraries go together: another set is another folder. */
export const cudaRelease = 'onnxruntime-1.29.0-cuda-13.0.3';

/** Where `acepp cuda install` puts ONNX Runtime's CUDA provider and NVIDIA's libraries; there as a whole, or not at all. */
export function cudaFolder(): string {
  return path.join(homeFolder(), 'cuda', cudaRelease);
}

export function engineEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, ...ortSettings, ...libraryPath() };
}

/**
 * ONNX Runtime looks for its providers beside the library that was loaded, and the loader looks here before it looks beside the
 * binding. So what is installed in the data folder survives `npm ci`, and nothing is put into node_modules.
 */
function libraryPath(): NodeJS.ProcessEnv {
  const folder = cudaFolder();
  if (process.platform !== 'linux' || !existsSync(folder)) return {};
  try {
    linkRuntime(folder);
  } catch (cause) {
    // The CPU still computes, and CUDA tells that its library is missing.
    console.error(`${folder}: ${(cause as Error).message}`);
    return {};
  }
  const before = process.env.LD_LIBRARY_PATH;
  return { LD_LIBRARY_PATH: before ? `${folder}:${before}` : folder };
}

const runtimeName = 'libonnxruntime.so.1';

/** Of the runtime as npm installed it. */
function runtimeFolder(): string {
  const manifest = createRequire(path.join(projectRoot, 'package.json')).resolve(
    'onnxruntime-node/package.json',
  );
  return path.join(path.dirname(manifest), 'bin/napi-v6/linux/x64');
}

/** The runtime of this project, beside the providers; made anew where the project has moved. */
function linkRuntime(folder: string): void {
  const target = path.join(runtimeFolder(), runtimeName);
  const link = path.join(folder, runtimeName);
  try {
    if (readlinkSync(link) === target) return;
  } catch {
    // It is not there yet.
  }
  const made = `${link}.${process.pid}`;
  rmSync(made, { force: true });
  symlinkSync(target, made);
  renameSync(made, link);
}

/** In Linux itself, or in WSL2's Windows, with a driver. */
function hasNvidiaCard(): boolean {
  return ['/dev/nvidiactl', '/usr/lib/wsl/lib/libcuda.so.1'].some((file) => existsSync(file));
}

/** What a person with an NVIDIA GPU may run for it to compute; undefined where all is there, or there is no GPU. */
export function cudaAdvice(): string | undefined {
  if (process.platform !== 'linux' || !hasNvidiaCard()) return undefined;
  // Put there by hand, or by onnxruntime-node's own script.
  const own = path.join(runtimeFolder(), 'libonnxruntime_providers_cuda.so');
  if (existsSync(cudaFolder()) || existsSync(own)) return undefined;
  return 'This computer has an NVIDIA GPU: “acepp cuda install” fetches what lets it compute (1.3 GB).';
}
