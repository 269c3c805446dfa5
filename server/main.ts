import { spawn } from 'node:child_process';
import { Command, Option } from 'commander';
import { CodedError } from '../shared/errors.ts';
import { homeFolder } from './disk/paths.ts';
import { startCompanion } from './http/companion.ts';
import { type Provider, providers } from './runtime/provider.ts';

interface Flags {
  readonly provider?: Provider;
  readonly browser: boolean;
}

const flags = new Command('npm start --')
  .description('Starts the companion, which computes edits for the panels and serves its own page.')
  .addOption(new Option('--provider <name>', 'compute with this and nothing else').choices([...providers]))
  .option('--no-browser', 'do not open the page in a browser')
  .parse()
  .opts<Flags>();

// Not to stdout, which has the address and nothing else.
const log = (text: string): void => console.error(text);

try {
  const { provider } = flags;
  const companion = await startCompanion({
    home: homeFolder(),
    port: process.env.ACEPP_PORT,
    provider,
    announce: log,
  });
  let isEnding = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // The second Ctrl-C does not wait.
      if (isEnding) process.exit(1);
      isEnding = true;
      void companion.close().then(() => process.exit(0));
    });
  }
  console.log(companion.url);
  if (flags.browser && hasDisplay()) openBrowser(companion.ticketURL());
} catch (thrown) {
  const error = CodedError.from(thrown);
  console.error(`${error.code}: ${error.message}`);
  process.exit(1);
}

function hasDisplay(): boolean {
  if (process.env.CI) return false;
  if (process.platform === 'darwin' || process.platform === 'win32') return true;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

/** In the person's default browser; if there is none, the printed address is still there. */
function openBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '""', url]
        : ['xdg-open', url];
  spawn(command!, args, { stdio: 'ignore', detached: true, windowsHide: true })
    .on('error', () => {})
    .unref();
}
