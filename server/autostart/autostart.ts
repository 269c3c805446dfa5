import { execFile } from 'node:child_process';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { CodedError } from '../../shared/errors.ts';
import { asDiskError, writeDurably } from '../disk/durable.ts';
import { startCommand } from './command.ts';
import { agentFile, agentLabel, launchAgent } from './launchd.ts';
import { systemdUnit, unitFile, unitName } from './systemd.ts';
import { runCommand, runKey, runValue } from './windows.ts';

const run = promisify(execFile);

/** How a system starts the companion when this user signs in. */
interface Autostart {
  /** @returns a message for the user */
  on(): Promise<string>;
  off(): Promise<string>;
  status(): Promise<string>;
}

/** @throws CodedError `request-invalid` if we don't support autostart on this system */
export function autostart(): Autostart {
  const found = { linux: systemd, darwin: launchd, win32: windows }[process.platform as string];
  if (found) return found;
  throw new CodedError('request-invalid', {
    detail: `Starting with the machine is not known on "${process.platform}".`,
    remedy: 'Let its own tools run "acepp start --no-browser".',
  });
}

const systemd: Autostart = {
  async on() {
    await write(unitFile(), systemdUnit(startCommand()));
    await systemctl('daemon-reload');
    await systemctl('enable', '--now', unitName);
    return `The companion runs now and starts when you sign in (${unitFile()}). "journalctl --user -u ${unitName}" shows the codes of panels that ask to be paired.`;
  },
  async off() {
    if ((await readIfThere(unitFile())) === undefined)
      return 'The companion does not start with the machine.';
    await systemctl('disable', '--now', unitName);
    await rm(unitFile(), { force: true });
    await systemctl('daemon-reload');
    return 'The companion is stopped and starts with the machine no more.';
  },
  async status() {
    const unit = await readIfThere(unitFile());
    if (unit === undefined) return 'off';
    if (unit !== systemdUnit(startCommand()))
      return 'on, but for another folder or program: run "acepp autostart on" again';
    const state = await systemctl('is-active', unitName).catch(() => 'not running');
    return `on (${state.trim()})`;
  },
};

const unproven = 'This way has not been tried on a machine of its kind; see docs/unproven.md.';

const launchd: Autostart = {
  async on() {
    await write(agentFile(), launchAgent(startCommand()));
    await tool('launchctl', 'bootstrap', `gui/${process.getuid?.()}`, agentFile());
    return `The companion runs now and starts when you sign in (${agentFile()}). ${unproven}`;
  },
  async off() {
    if ((await readIfThere(agentFile())) === undefined)
      return 'The companion does not start with the machine.';
    await tool('launchctl', 'bootout', `gui/${process.getuid?.()}/${agentLabel}`);
    await rm(agentFile(), { force: true });
    return 'The companion is stopped and starts with the machine no more.';
  },
  async status() {
    return (await readIfThere(agentFile())) === undefined ? 'off' : 'on';
  },
};

const windows: Autostart = {
  async on() {
    const command = runCommand(startCommand());
    if (command.length > 260) {
      throw new CodedError('request-invalid', {
        detail: `The command line has ${command.length} characters; Windows takes 260 here.`,
        remedy: 'Move the project or ACEPP_HOME to a folder with a shorter path.',
      });
    }
    await tool('reg', 'add', runKey, '/v', runValue, '/t', 'REG_SZ', '/d', command, '/f');
    return `The companion starts when you sign in. ${unproven}`;
  },
  async off() {
    if ((await windows.status()) === 'off') return 'The companion does not start with the machine.';
    await tool('reg', 'delete', runKey, '/v', runValue, '/f');
    return 'The companion starts with the machine no more. One that runs goes on.';
  },
  async status() {
    return tool('reg', 'query', runKey, '/v', runValue).then(
      () => 'on',
      () => 'off',
    );
  },
};

const systemctl = (...args: string[]) => tool('systemctl', '--user', ...args);

async function tool(name: string, ...args: string[]): Promise<string> {
  try {
    return (await run(name, args)).stdout;
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string };
    throw new CodedError('autostart-refused', {
      detail: `"${name} ${args.join(' ')}" failed: ${(stderr || message).trim()}.`,
      remedy: 'Correct what it names, or run "acepp start" by hand.',
      cause,
    });
  }
}

async function write(file: string, content: string): Promise<void> {
  try {
    await mkdir(path.dirname(file), { recursive: true });
  } catch (cause) {
    throw asDiskError(cause);
  }
  await writeDurably(file, content);
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}
