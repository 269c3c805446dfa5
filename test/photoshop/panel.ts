/** The built panel in a real browser, inside a simulated Photoshop. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import type { Browser, Page, Route } from 'playwright-core';
import source from '../../manifest.json' with { type: 'json' };
import { projectRoot } from '../../server/disk/paths.ts';
import type { Health } from '../../shared/protocol/answers.ts';
import { proofOf, tokenKey } from '../../shared/protocol/proof.ts';
import type { Controls, SimulatedOptions } from './simulator/index.ts';

export const builtPanel = path.join(projectRoot, 'dist/photoshop');

/** A page needs an origin for its storage and to read its style sheets. */
const pluginOrigin = 'http://plugin.invalid';

async function serveFile(route: Route, pathname: string): Promise<void> {
  const headers = { 'content-security-policy': "script-src 'self'" };
  await route.fulfill({ path: path.join(builtPanel, pathname), headers });
}

let simulator: Promise<string> | undefined;

/** The simulator as one script, built once. */
function simulatorScript(): Promise<string> {
  simulator ??= bundleSimulator();
  return simulator;
}

async function bundleSimulator(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path.join(projectRoot, 'test/photoshop/simulator/index.ts')],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    outdir: tmpdir(),
    define: { simulatedDomains: JSON.stringify(manifestDomains()) },
    logLevel: 'warning',
  });
  return outputFiles[0]!.text;
}

/** What the built manifest allows the panel to call. */
export function manifestDomains(): 'all' | string[] {
  const manifest = JSON.parse(readFileSync(path.join(builtPanel, 'manifest.json'), 'utf8'));
  return manifest.requiredPermissions.network.domains;
}

declare global {
  interface Window {
    readonly controls: Controls;
  }
}

export interface SimulatedPanel {
  readonly page: Page;
  /** Uncaught errors. */
  readonly faults: string[];
  /** What the style sheets use that UXP doesn't support. */
  readonly cutStyles: readonly string[];
  /** Runs in the page, with the simulator's controls. */
  photoshop<T, A>(work: (controls: Controls, argument: A) => T | Promise<T>, argument: A): Promise<T>;
  photoshop<T>(work: (controls: Controls) => T | Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface PanelOptions {
  /** Where the companion really listens; the panel calls the manifest's first port. Undefined: nowhere. */
  readonly companion: () => string | undefined;
  readonly token?: string | undefined;
  /** Tokens to be typed in later. */
  readonly laterTokens?: readonly string[];
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
  /** How this Photoshop behaves. */
  readonly simulated?: SimulatedOptions;
}

/**
 * Opens the panel. The ports of the manifest are fixed and may be in use: requests to the first one go to
 * where the companion really is, under both names of this machine, and those to the others fail as closed
 * ports do.
 */
export async function openPanel(browser: Browser, options: PanelOptions): Promise<SimulatedPanel> {
  const {
    companion,
    token,
    laterTokens = [],
    width = 300,
    height = 660,
    scheme = 'dark',
    simulated = {},
  } = options;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  await page.addInitScript({ content: `window.simulatedOptions = ${JSON.stringify(simulated)};` });
  await page.addInitScript({ content: await simulatorScript() });
  if (token) {
    await page.addInitScript((given) => sessionStorage.setItem('secure.acepp.token', given), token);
  }
  const tokens = new Set([...laterTokens, ...(token ? [token] : [])]);
  const answering = ['localhost', '127.0.0.1'].map((name) => `http://${name}:${source.ports[0]}`);
  await page.route(/^http:/, async (route) => {
    const request = route.request();
    const asked = new URL(request.url());
    if (asked.origin === pluginOrigin) return serveFile(route, asked.pathname);
    const origin = companion();
    if (!answering.includes(asked.origin) || !origin) return route.abort('connectionrefused');
    // As two public bridges measured it in Premiere; UXP sends no preflight.
    const { referer: _, ...sent } = await request.allHeaders();
    const headers = { ...sent, origin: 'file://', host: new URL(origin).host };
    try {
      const response = await route.fetch({
        url: origin + asked.pathname + asked.search,
        headers,
        timeout: 0,
      });
      const allowed = { ...response.headers(), 'access-control-allow-origin': '*' };
      if (asked.pathname.startsWith('/v1/pairings/') && response.ok()) {
        tokens.add((await response.json()).token);
      }
      const isProof = asked.pathname === '/v1/health' && asked.searchParams.has('nonce');
      const json = isProof ? proofPassedOn(await response.json(), asked, new URL(origin), tokens) : undefined;
      await route.fulfill({ response, headers: allowed, ...(json && { json }) });
    } catch {
      // The companion is gone, or the page.
      await route.abort('connectionrefused').catch(() => undefined);
    }
  });
  await page.goto(`${pluginOrigin}/index.html`);
  const cutStyles = await page.evaluate(() => {
    window.controls.flattenControls();
    return window.controls.cutStyles();
  });
  return {
    page,
    faults,
    cutStyles,
    photoshop: ((work: (controls: Controls, argument?: unknown) => unknown, argument: unknown) =>
      page.evaluate(
        // Playwright evaluates outside the page's policy: it works even if the page may not generate code.
        `(${work.toString()})(window.controls, ${JSON.stringify(argument) ?? 'undefined'})`,
      )) as SimulatedPanel['photoshop'],
    close: () => context.close(),
  };
}

/**
 * A companion's proof is good for its own port, so that nobody can pass it on; these tests do pass it on, and
 * know the tokens with which it is made for the port that the panel asked. One that is wrong stays wrong.
 */
function proofPassedOn(health: Health, asked: URL, real: URL, tokens: ReadonlySet<string>): Health {
  const nonce = asked.searchParams.get('nonce') ?? '';
  for (const key of [...tokens].map(tokenKey)) {
    if (health.proof !== proofOf(key, nonce, Number(real.port))) continue;
    return { ...health, proof: proofOf(key, nonce, Number(asked.port)) };
  }
  return health;
}
