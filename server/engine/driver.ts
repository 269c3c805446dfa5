import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Of NVIDIA's driver: "580.95.05"; undefined where there is none. */
export async function driverVersion(): Promise<string | undefined> {
  const query = ['--query-gpu=driver_version', '--format=csv,noheader', '--id=0'];
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: 10_000 });
    return /^\d+[\d.]*/.exec(stdout.trim())?.[0];
  } catch {
    return undefined;
  }
}
