import { CommanderError } from 'commander';
import { CodedError } from '../../shared/errors.ts';

/** @param command of `npm run` */
export function wrongCommandLine(command: string, what: string): CodedError {
  return new CodedError('request-invalid', {
    detail: `The command line is wrong: ${what.replace(/^error: /, '').replace(/\.?$/, '.')}`,
    remedy: `See "npm run --silent ${command} -- --help".`,
  });
}

/** Runs a command that prints one line of JSON on stdout and nothing else, also where it fails. */
export async function printOneLine(command: string, main: () => Promise<object>): Promise<void> {
  try {
    console.log(JSON.stringify(await main()));
  } catch (thrown) {
    // Help was asked for, and is on stdout.
    if (thrown instanceof CommanderError && thrown.exitCode === 0) process.exit(0);
    const error =
      thrown instanceof CommanderError ? wrongCommandLine(command, thrown.message) : CodedError.from(thrown);
    console.error(`${error.code}: ${error.message}`);
    console.log(JSON.stringify({ error: error.toProblem() }));
    process.exitCode = 1;
  }
}
