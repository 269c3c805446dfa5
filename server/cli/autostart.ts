import { Argument, Command } from 'commander';
import { autostart } from '../autostart/autostart.ts';
import { reportFailure } from './failure.ts';

/**
 * `acepp autostart on | off | status`: whether the companion starts when this user signs in.
 * @returns the exit code
 */
export async function runAutostart(args: readonly string[]): Promise<number> {
  try {
    const command = new Command('acepp autostart')
      .description(
        'Starts the companion when you sign in: a systemd user unit, a launchd agent or a Run key.',
      )
      .addArgument(new Argument('<what>').choices(['on', 'off', 'status']))
      .allowExcessArguments(false)
      .configureOutput({ writeErr: () => {} })
      .exitOverride()
      .parse([...args], { from: 'user' });
    const what = command.processedArgs[0] as 'on' | 'off' | 'status';
    console.log(await autostart()[what]());
    return 0;
  } catch (thrown) {
    return reportFailure('autostart', thrown);
  }
}
