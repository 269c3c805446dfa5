import { Command } from 'commander';
import { CodedError } from '../../shared/errors.ts';
import { homeFolder } from '../disk/paths.ts';
import { Tokens } from '../http/tokens.ts';
import { reportFailure } from './failure.ts';

/**
 * `acepp tokens list | revoke`: lists paired panels and revokes their access. A running companion applies it
 * immediately.
 * @returns the exit code
 */
export async function tokens(args: readonly string[]): Promise<number> {
  const command = new Command('acepp tokens')
    .description('Lists and revokes the tokens of paired panels.')
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  const sub = (name: string) =>
    command
      .command(name)
      .allowExcessArguments(false)
      .configureOutput({ writeErr: () => {} })
      .exitOverride();
  sub('list')
    .description('print each paired panel: id, when, who')
    .action(async () => {
      for (const { id, created, name } of (await open()).list()) console.log(`${id}  ${created}  ${name}`);
    });
  sub('revoke')
    .description('let panels in no more; they can be paired again')
    .argument('<id...>', 'of the list, or "all"')
    .action(async (ids: readonly string[]) => {
      const known = await open();
      const all = known.list().map(({ id }) => id);
      for (const id of ids.includes('all') ? all : ids) {
        if (await known.revoke(id)) console.log(`revoked ${id}`);
        else throw noSuchPanel(id);
      }
    });
  try {
    await command.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (thrown) {
    return reportFailure('tokens', thrown);
  }
}

const open = () => Tokens.open(homeFolder(), (text) => console.error(text));

function noSuchPanel(id: string): CodedError {
  return new CodedError('not-found', {
    detail: `No panel has the id "${id}".`,
    remedy: 'Run "acepp tokens list" for the ids.',
  });
}
