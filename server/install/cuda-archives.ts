/**
 * What CUDA needs on Linux, and where it is published. ONNX Runtime's own provider for CUDA 13 is an npm
 * package; NVIDIA's libraries are wheels, which are zip archives, in the versions that PyTorch 2.14.1 uses
 * with CUDA 13.0.3, so they are known to work together. They need driver 580 or newer (docs.nvidia.com, "CUDA
 * Compatibility").
 */
import type { LicenceId } from './licences.ts';

export interface Archive {
  readonly title: string;
  readonly url: string;
  readonly size: number;
  readonly sha256: string;
  readonly licence: LicenceId;
  /** The libraries to extract, by their paths in the archive. */
  readonly takes: RegExp;
  /** Their total size in bytes. */
  readonly unpacked: number;
}

export const oldestDriver = 580;

const wheels = 'https://files.pythonhosted.org/packages';

export const cudaArchives: readonly Archive[] = [
  {
    title: "ONNX Runtime's CUDA provider 1.29.0",
    url: 'https://registry.npmjs.org/com.github.asus4.onnxruntime.linux-x64-gpu/-/com.github.asus4.onnxruntime.linux-x64-gpu-0.4.9.tgz',
    size: 179_145_956,
    sha256: '2b459e0c17f340c92970c10ed86de4f37a3009f93c14053e6ad4334cbb6be412',
    licence: 'mit-onnxruntime',
    takes: /\/libonnxruntime_providers_(cuda|shared)\.so$/,
    unpacked: 229_795_072,
  },
  {
    title: 'cuBLAS 13.1.1.3',
    url: `${wheels}/3b/cd/154ca20c38269e05eff77c1464e6c1da89f50a6390b565e9d82e06bc11e1/nvidia_cublas-13.1.1.3-py3-none-manylinux_2_27_x86_64.whl`,
    size: 423_138_758,
    sha256: '37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436',
    licence: 'nvidia-cuda',
    takes: /\/libcublas(Lt)?\.so\.13$/,
    unpacked: 596_523_368,
  },
  {
    title: 'cuDNN 9.24.0.43',
    url: `${wheels}/5c/ba/791cffd048fe5b044e620df55267e3e95c0e6e07d50b41e377c03dfc910f/nvidia_cudnn_cu13-9.24.0.43-py3-none-manylinux_2_27_x86_64.whl`,
    size: 553_099_438,
    sha256: '71f181cd810e90f9b6023b01186fe82d13d65f0ec098581ee201d39fad769e4b',
    licence: 'nvidia-cudnn',
    takes: /\/libcudnn\w*\.so\.9$/,
    unpacked: 965_278_448,
  },
  {
    title: 'cuRAND 10.4.0.35',
    url: `${wheels}/a5/9f/be0a41ca4a4917abf5cb9ae0daff1a6060cc5de950aec0396de9f3b52bc5/nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl`,
    size: 59_544_258,
    sha256: '1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc',
    licence: 'nvidia-cuda',
    takes: /\/libcurand\.so\.10$/,
    unpacked: 132_698_328,
  },
  {
    title: 'CUDA runtime 13.0.96',
    url: `${wheels}/2e/24/d1558f3b68b1d26e706813b1d10aa1d785e4698c425af8db8edc3dced472/nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl`,
    size: 2_243_632,
    sha256: '7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548',
    licence: 'nvidia-cuda',
    takes: /\/libcudart\.so\.13$/,
    unpacked: 704_288,
  },
  {
    // cuBLAS and cuDNN compile some kernels when they first see a shape.
    title: 'NVRTC 13.0.88',
    url: `${wheels}/c3/68/483a78f5e8f31b08fb1bb671559968c0ca3a065ac7acabfc7cee55214fd6/nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl`,
    size: 90_215_200,
    sha256: 'ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575',
    licence: 'nvidia-cuda',
    takes: /\/libnvrtc(-builtins)?\.so\.[\d.]+$/,
    unpacked: 113_956_296,
  },
];
