import { CommanderError } from 'commander';
import { CodedError } from '../../shared/errors.ts';

/** @param command a command of `acepp`, or an empty string */
export function wrongCommandLine(command: string, what: string): CodedError {
  return new CodedError('request-invalid', {
    detail: `The command line is wrong: ${what.replace(/^error: /, '').replace(/\.?$/, '.')}`,
    remedy: `See "${['acepp', command, '--help'].filter(Boolean).join(' ')}".`,
  });
}

/**
 * Runs a command that prints exactly one line of JSON on stdout, even if it fails.
 * @param main returns nothing if the lines are still to come
 * @returns the exit code
 */
export async function printOneLine(
  command: string,
  main: () => Promise<object | undefined>,
): Promise<number> {
  try {
    const line = await main();
    if (line) console.log(JSON.stringify(line));
    return 0;
  } catch (thrown) {
    // The user asked for help, which is on stdout.
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    const error =
      thrown instanceof CommanderError ? wrongCommandLine(command, thrown.message) : CodedError.from(thrown);
    console.error(`${error.code}: ${error.message}`);
    console.log(JSON.stringify({ error: error.toProblem() }));
    return 1;
  }
}
