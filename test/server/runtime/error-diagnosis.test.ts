import { expect, test } from 'vitest';
import { diagnose } from '../../../server/runtime/error-diagnosis.ts';

test.each([
  [
    '\u001b[1;31m2026-11-27 15:37:30 [E:onnxruntime:, provider_bridge_ort.cc:2146 Create] Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /home/p/libonnxruntime_providers_cuda.so with error: libcuda.so.1: cannot open shared object file: No such file or directory\n\u001b[m\nprovider-unavailable: The provider "cuda" cannot be used: Failed to load shared library.',
    'libcuda.so.1: cannot open shared object file: No such file or directory',
  ],
  [
    'void] CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=x ; expr=cudaSetDevice(info_.device_id);',
    'CUDA driver version is insufficient for CUDA runtime version',
  ],
  [
    '/onnxruntime_src/webgpu_context.cc:100 Initialize()::<lambda()> adapter_result.status == Success was false. Failed to get a WebGPU adapter: No supported adapters . ',
    'Failed to get a WebGPU adapter: No supported adapters',
  ],
  ['it hangs', 'it hangs'],
  ['', ''],
])('%j', (said, reason) => {
  expect(diagnose(said)).toBe(reason);
});
