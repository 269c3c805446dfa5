/**
 * Shared by the commands that download: they can be interrupted and resumed, show progress, and ask about
 * licences.
 */
import { createInterface } from 'node:readline/promises';
import { Command, CommanderError } from 'commander';
import { CodedError } from '../../shared/errors.ts';
import type { InstallProgress } from '../install/install.ts';
import type { Licence } from '../install/licences.ts';
import { sizeText, timeText } from '../install/text.ts';
import { wrongCommandLine } from './failure.ts';
import { Progress } from './progress.ts';
import { endingSignals } from './signals.ts';

export interface InstallerRun {
  readonly progress: Progress;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  exitCode: number;
}

/**
 * Runs `acepp <name> <command>`. Results go to stdout; progress, licences and errors to stderr.
 * @returns the exit code: 130 after Ctrl-C
 */
export async function runInstaller(
  name: string,
  args: readonly string[],
  define: (command: Command, run: InstallerRun) => void,
): Promise<number> {
  const ended = new AbortController();
  for (const signal of endingSignals) {
    process.on(signal, () => {
      // A second Ctrl-C exits immediately.
      if (ended.signal.aborted) process.exit(130);
      ended.abort();
    });
  }
  const run: InstallerRun = { progress: new Progress(), signal: ended.signal, exitCode: 0 };
  const command = new Command(`acepp ${name}`).configureOutput({ writeErr: () => {} }).exitOverride();
  define(command, run);
  try {
    await command.parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    run.progress.end();
    if (ended.signal.aborted) {
      console.error('Interrupted. Run the same command to resume.');
      return 130;
    }
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    const error = thrown instanceof CommanderError ? wrongCommand(name, thrown) : CodedError.from(thrown);
    console.error(`${error.code}: ${error.message}`);
    return 1;
  }
  run.progress.end();
  return run.exitCode;
}

function wrongCommand(name: string, { code, message }: CommanderError): CodedError {
  return wrongCommandLine(name, code === 'commander.help' ? 'the command is missing' : message);
}

/** Shows the licence, and asks for consent in a terminal. */
export async function ask(licence: Licence, isAccepted: boolean, signal: AbortSignal): Promise<boolean> {
  console.error(`\n${licence.title}\n${licence.url}\n\n${licence.terms}\n`);
  if (isAccepted) {
    console.error('Accepted with --accept-licence.');
    return true;
  }
  if (!process.stdin.isTTY) return false;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // While readline is active, it receives Ctrl-C in the terminal, not the process.
  lines.on('SIGINT', () => process.emit('SIGINT'));
  try {
    const answer = await lines.question('Do you accept it? Type "yes": ', { signal });
    return answer.trim().toLowerCase() === 'yes';
  } finally {
    lines.close();
  }
}

/** Progress, speed and time left: a few times a second in a terminal, otherwise an occasional line. */
export class TransferRate {
  readonly #progress: Progress;
  #shown = 0;
  #samples: { readonly at: number; readonly bytes: number }[] = [];

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  show({ file, fileBytes, fileSize, bytes, size }: InstallProgress): void {
    const now = performance.now();
    if (now - this.#shown < (this.#progress.isTerminal ? 200 : 10_000)) return;
    this.#shown = now;
    // The last half minute predicts the rest better than the whole download.
    const recent = this.#samples.filter(({ at, bytes: before }) => now - at < 30_000 && before <= bytes);
    this.#samples = [...recent, { at: now, bytes }];
    const [first] = this.#samples;
    const rate = (1000 * (bytes - first!.bytes)) / (now - first!.at);
    const speed = rate > 0 ? `, ${sizeText(rate)}/s, ${timeText((size - bytes) / rate)} left` : '';
    const all = size > fileSize ? ` (${Math.floor((100 * bytes) / size)}% in total)` : '';
    this.#progress.state(`${file}: ${sizeText(fileBytes)} of ${sizeText(fileSize)}${all}${speed}`);
  }
}
