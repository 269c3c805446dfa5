/** `npm run cuda`: what an NVIDIA GPU needs on Linux and in WSL2. */
import { runCUDA } from './cli/cuda.ts';
import { cudaArchives } from './install/cuda-archives.ts';

process.exitCode = await runCUDA(process.argv, cudaArchives);
