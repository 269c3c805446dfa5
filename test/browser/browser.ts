import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, chromium, type FrameLocator, type Page } from 'playwright-core';
import { projectRoot } from '../../server/disk/paths.ts';

/** Where Chromium is: `CHROMIUM`, or the first of the usual names on PATH; undefined where there is none. */
export function findChromium(): string | undefined {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(path.delimiter)];
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  return names
    .flatMap((name) => folders.map((folder) => path.join(folder, name)))
    .find((file) => existsSync(file));
}

export function launchBrowser(executablePath: string, more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...more,
    ],
  });
}

/**
 * Waits for a text that may stand for a moment only. Playwright's own waiting looks twice a second, in which
 * a short edit has come and gone. The page looks by itself: not every host of a panel has a MutationObserver,
 * and asking from outside as often would take the processor from the edit.
 */
export async function glimpse(where: Page | FrameLocator, text: RegExp): Promise<void> {
  const missed = await where.locator('body').evaluate(
    (body, pattern) =>
      new Promise<string | undefined>((resolve) => {
        const deadline = Date.now() + 240_000;
        const look = (): void => {
          const shown = (body as HTMLElement).innerText;
          if (pattern.test(shown)) resolve(undefined);
          else if (Date.now() > deadline) resolve(shown);
          else setTimeout(look, 10);
        };
        look();
      }),
    text,
  );
  if (missed !== undefined)
    throw new Error(`${text} was not seen within a minute; at the end there was: ${missed}`);
}

export interface Companion {
  /** The link that it printed, with the token. */
  readonly link: string;
  readonly origin: string;
  readonly token: string;
  /** Its data folder. */
  readonly home: string;
  /** Kills the process at once, like a crash; its folder stays. */
  kill(): Promise<void>;
  /** Restarts it on the same port with the same folder. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const program = path.join(projectRoot, 'dist/server/acepp.js');

/** Starts the built companion with its own folder and port. */
export async function startCompanion(): Promise<Companion> {
  const home = await mkdtemp(path.join(tmpdir(), 'acepp-page-'));
  const port = await freePort();
  let started = await start(home, port);
  const kill = async (): Promise<void> => {
    const { child } = started;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  const link = new URL(started.link);
  return {
    link: link.href,
    origin: link.origin,
    token: new URLSearchParams(link.hash.slice(1)).get('token') ?? '',
    home,
    kill,
    restart: async () => {
      started = await start(home, port);
    },
    stop: async () => {
      await kill();
      await rm(home, { recursive: true, force: true });
    },
  };
}

function start(home: string, port: number): Promise<{ child: ChildProcess; link: string }> {
  const child = spawn(process.execPath, [program, 'start', '--no-browser'], {
    env: { ...process.env, ACEPP_HOME: home, ACEPP_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return new Promise((resolve, reject) => {
    let said = '';
    const hear = (chunk: Buffer): void => {
      said += chunk;
      const link = said.match(/http:\/\/\S+#token=\S+/)?.[0];
      if (link) resolve({ child, link });
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk;
    });
    child.once('exit', (code) => reject(new Error(`The companion ended with ${code}:\n${said}`)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
