import { fork } from 'node:child_process';
import path from 'node:path';
import type { Command } from 'commander';
import { homeFolder, projectRoot } from '../disk/paths.ts';
import { installCUDA, isInstalled, removeCUDA, requireLinux } from '../install/cuda.ts';
import { type Archive, oldestDriver } from '../install/cuda-archives.ts';
import { sizeText } from '../install/text.ts';
import { deviceMemory } from '../runtime/device-memory.ts';
import { cudaFolder, engineEnvironment } from '../runtime/environment.ts';
import { diagnose } from '../runtime/error-diagnosis.ts';
import { driverVersion, hiddenBy, listGPUs } from '../runtime/nvidia.ts';
import { type Capabilities, probe } from '../runtime/probe.ts';
import { ask, type InstallerRun, runInstaller, TransferRate } from './installer.ts';
import type { Grain } from './models.ts';

/**
 * `acepp cuda install | status | remove`: manages what an NVIDIA GPU needs on Linux and in WSL2.
 * @returns the exit code: 130 after Ctrl-C
 */
export function runCUDA(
  args: readonly string[],
  archives: readonly Archive[],
  grain: Grain = {},
): Promise<number> {
  return runInstaller('cuda', args, (command, run) => define(command, archives, grain, run));
}

function define(command: Command, archives: readonly Archive[], grain: Grain, run: InstallerRun): void {
  const { progress, signal } = run;
  command.description("ONNX Runtime's CUDA provider and NVIDIA's libraries, for a GPU on Linux or in WSL2.");
  command
    .command('install')
    .description('download and unpack them; resumes an interrupted download')
    .option('--accept-licence', 'confirm that you have read and accept the licences shown')
    .action(async ({ acceptLicence }: { acceptLicence?: boolean }) => {
      requireLinux();
      // Before downloading a gigabyte for nothing.
      progress.line((await describeGPU()).text);
      const rate = new TransferRate(progress);
      await installCUDA(archives, {
        ...grain,
        home: homeFolder(),
        ask: (licence) => ask(licence, acceptLicence === true, signal),
        progress: (state) => rate.show(state),
        log: (text) => progress.line(text),
        signal,
      });
      progress.end();
      console.log(await checked());
    });
  command
    .command('status')
    .description('show what is installed, the GPU and its driver, and whether the GPU works')
    .action(async () => {
      requireLinux();
      console.log(
        (await isInstalled()) ? `Installed in ${cudaFolder()}` : 'Not installed: acepp cuda install',
      );
      console.log(await checked());
    });
  command
    .command('remove')
    .description('remove them')
    .action(async () => {
      console.log(`Removed: freed ${sizeText(await removeCUDA())}.`);
    });
  // In a separate process, with the libraries' folder in its environment.
  command.command(checkCommand, { hidden: true }).action(async () => {
    process.send?.(await probe('cuda'));
    process.disconnect?.();
  });
}

const checkCommand = 'check';

/** Whether the GPU works, and if not, what to do. */
async function checked(): Promise<string> {
  const { text, advice } = await describeGPU();
  if (advice) return text;
  try {
    const { transformer } = await tried();
    const form = transformer.attention === 'fused' ? '' : ', with composed attention';
    return `${text} It works: FLUX runs in ${transformer.type}${form}.`;
  } catch (cause) {
    return `${text} It does not work: ${(cause as Error).message}.`;
  }
}

/** The GPU, and what is wrong with its driver. */
async function describeGPU(): Promise<{ text: string; advice: string | undefined }> {
  const driver = await driverVersion();
  const gpus = await listGPUs();
  const hidden = hiddenBy(process.env.CUDA_VISIBLE_DEVICES, gpus);
  if (hidden) {
    const advice = 'Unset it, or name one of them.';
    return { text: `${hidden}. ${advice}`, advice };
  }
  const memory = await deviceMemory('cuda');
  const name = memory
    ? `${memory.name}, ${sizeText(memory.free)} of ${sizeText(memory.total)} free, driver ${driver}.`
    : gpus[0]
      ? `${gpus[0].name}, driver ${driver}; how much memory is free is not known.`
      : 'No NVIDIA GPU with a driver was found.';
  const advice = adviceFor(driver);
  return { text: [name, advice].filter(Boolean).join(' '), advice };
}

/** @param driver undefined if there is none */
function adviceFor(driver: string | undefined): string | undefined {
  const install = `Ubuntu: "sudo ubuntu-drivers install"; WSL2: NVIDIA's driver for Windows, and nothing inside WSL.`;
  if (driver === undefined) return `Install the driver. ${install}`;
  if (Number.parseInt(driver, 10) >= oldestDriver) return undefined;
  return `CUDA 13 needs driver ${oldestDriver} or newer. ${install}`;
}

function tried(): Promise<Capabilities> {
  return new Promise((resolve, reject) => {
    const child = fork(path.join(projectRoot, 'dist/server/acepp.js'), ['cuda', checkCommand], {
      env: engineEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000);
    });
    child.once('message', (capabilities) => resolve(capabilities as Capabilities));
    child.once('close', (code, signal) => {
      const how = signal ?? `code ${code}`;
      reject(new Error(diagnose(said) || `the process that tried it exited with ${how}`));
    });
  });
}
