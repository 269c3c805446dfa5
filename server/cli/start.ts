import { spawn } from 'node:child_process';
import { Command, Option } from 'commander';
import { CodedError } from '../../shared/errors.ts';
import { listModels, pocket } from '../catalogue/catalogue.ts';
import { homeFolder } from '../disk/paths.ts';
import { type Companion, startCompanion } from '../http/companion.ts';
import { type Provider, providers } from '../runtime/provider.ts';
import { reportFailure } from './failure.ts';
import { type LogLevel, logLevelOption } from './log-level.ts';
import { endingSignals } from './signals.ts';

/** Edits that are still running after this are resumed at the next start. */
const secondsToEnd = 15;

interface Flags {
  readonly provider?: Provider;
  readonly browser: boolean;
  readonly logLevel: LogLevel;
}

/**
 * `acepp start`: runs the companion until it is interrupted. Only its address goes to stdout.
 * @returns the exit code; once started, the companion keeps the process alive
 */
export async function start(args: readonly string[]): Promise<number> {
  try {
    const { provider, browser, logLevel } = readFlags(args);
    const starting = startCompanion({
      home: homeFolder(),
      port: process.env.ACEPP_PORT,
      provider,
      logLevel,
      announce: (text) => console.error(text),
    });
    endOnSignals(starting);
    const companion = await starting;
    console.log(companion.url);
    console.error(await welcome());
    if (browser && hasDisplay()) openBrowser(companion.ticketURL());
    return 0;
  } catch (thrown) {
    return reportFailure('start', thrown);
  }
}

/** What to do with the address, and which model runs. */
async function welcome(): Promise<string> {
  const isDemo = (await listModels()).every(({ id }) => id === pocket.id);
  const model = isDemo
    ? '\nThis is the demo model. To install FLUX.1-Fill with ACE++: acepp models install flux-fill'
    : '';
  return `Open the address in a browser. Panels in Photoshop and Figma find it themselves. Ctrl-C stops.${model}`;
}

/** Shuts down cleanly, even if the signal arrives while the companion is starting. */
function endOnSignals(starting: Promise<Companion>): void {
  let isEnding = false;
  const end = async (): Promise<number> => {
    try {
      await (await starting).close();
      return 0;
    } catch (thrown) {
      const error = CodedError.from(thrown);
      console.error(`${error.code}: ${error.message}`);
      return 1;
    }
  };
  for (const signal of endingSignals) {
    process.on(signal, () => {
      // A second Ctrl-C exits immediately.
      if (isEnding) process.exit(1);
      isEnding = true;
      setTimeout(() => process.exit(1), secondsToEnd * 1000).unref();
      void end().then((code) => process.exit(code));
    });
  }
}

function readFlags(args: readonly string[]): Flags {
  return new Command('acepp start')
    .description('Starts the companion: it runs edits for the panels and serves its own page.')
    .addOption(new Option('--provider <name>', 'compute only with this provider').choices([...providers]))
    .option('--no-browser', 'do not open the page in a browser')
    .addOption(logLevelOption())
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride()
    .parse([...args], { from: 'user' })
    .opts<Flags>();
}

function hasDisplay(): boolean {
  if (process.env.CI) return false;
  if (process.platform === 'darwin' || process.platform === 'win32') return true;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

/** Opens the user's default browser; if there is none, the address is printed anyway. */
function openBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? // Not `cmd /c start ""`: cmd does not parse quotes the way Node writes them.
          ['rundll32', 'url.dll,FileProtocolHandler', url]
        : ['xdg-open', url];
  spawn(command!, args, { stdio: 'ignore', detached: true, windowsHide: true })
    .on('error', () => {})
    .unref();
}
