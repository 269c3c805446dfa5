import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { createContext, runInContext } from 'node:vm';
import type { Browser, FrameLocator, Page } from 'playwright-core';
import * as v from 'valibot';
import { FigmaApi, type Interface } from './figma-api.ts';
import { manifestSchema } from './manifest-rules.ts';
import type { Scene } from './scene.ts';
import { themeCSS } from './theme.ts';
import { type Wire, wireSource } from './wire.ts';

/** Newer than what the sandbox is sure to have. */
const younger = `
delete Array.prototype.at; delete Array.prototype.flat; delete Array.prototype.flatMap;
delete String.prototype.replaceAll; delete String.prototype.matchAll; delete Object.fromEntries;
delete Object.hasOwn; delete Promise.allSettled; delete Promise.any;
`;

/** The document's half of a plugin in its own realm: no DOM, no network, no Node. */
export class SandboxRealm {
  readonly api: FigmaApi;
  private readonly context: object;
  private readonly wire: Wire;

  constructor(parts: {
    scene: Scene;
    storage?: Map<string, unknown>;
    html?: string;
    showUI?: (shown: Interface) => void;
    toUI?: (text: string) => void;
  }) {
    this.context = createContext({ btoa, atob }, { codeGeneration: { strings: false, wasm: false } });
    this.wire = runInContext(wireSource, this.context) as Wire;
    runInContext('delete globalThis.btoa; delete globalThis.atob;', this.context);
    this.api = new FigmaApi({
      scene: parts.scene,
      storage: parts.storage ?? new Map(),
      showUI: parts.showUI ?? (() => undefined),
      toUI: (message) => parts.toUI?.(this.wire.encode(message)),
    });
    Object.assign(this.context, {
      figma: this.api.global,
      __html__: parts.html ?? '',
      console,
      setTimeout,
      clearTimeout,
      setInterval,
      clearInterval,
    });
  }

  /** Runs a plugin's script; young parts of the library are gone by then. */
  run(script: string): unknown {
    return runInContext(`${younger}\n${script}`, this.context);
  }

  /** A message of the panel, as text. */
  receive(text: string): void {
    this.api.onmessage?.(this.wire.decode(text));
  }
}

export interface OpenPlugin {
  readonly page: Page;
  readonly ui: FrameLocator;
  readonly realm: SandboxRealm;
  readonly scene: Scene;
  readonly storage: Map<string, unknown>;
  /** Errors and violations in the panel. */
  readonly faults: string[];
  select(...ids: string[]): void;
  close(): Promise<void>;
}

export interface PluginOptions {
  readonly scene: Scene;
  readonly storage?: Map<string, unknown>;
  readonly scheme?: 'light' | 'dark';
  /** The page around the plugin's frame. */
  readonly embedder: string;
  /**
   * Whether the program lets pages reach this machine: the desktop app does, browsers deny it to such a
   * frame.
   */
  readonly localAccess?: boolean;
}

/**
 * Opens a built plugin: its sandbox in a realm of its own, its panel in a frame of origin `null` in a
 * browser.
 */
export async function openPlugin(
  browser: Browser,
  folder: string,
  { scene, storage = new Map(), scheme = 'light', embedder, localAccess = true }: PluginOptions,
): Promise<OpenPlugin> {
  const manifest = v.parse(
    manifestSchema,
    JSON.parse(await readFile(path.join(folder, 'manifest.json'), 'utf8')),
  );
  const [main, html] = await Promise.all([
    readFile(path.join(folder, manifest.main), 'utf8'),
    readFile(path.join(folder, manifest.ui!), 'utf8'),
  ]);
  const context = await browser.newContext({ viewport: { width: 340, height: 720 }, colorScheme: scheme });
  if (localAccess) await context.grantPermissions(['local-network-access']);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) faults.push(message.text());
  });
  await page.goto(embedder);

  let realm: SandboxRealm;
  await page.exposeFunction('toSandbox', (text: string) => realm.receive(text));
  const shown: Interface[] = [];
  const waiting: string[] = [];
  let isLoaded = false;
  const toUI = (text: string): void => {
    if (isLoaded) void page.evaluate((given) => window.fromSandbox(given), text).catch(() => undefined);
    else waiting.push(text);
  };
  scene.startPlugin();
  realm = new SandboxRealm({ scene, storage, html, showUI: (given) => void shown.push(given), toUI });
  realm.run(main);
  const [given] = shown;
  if (!given) throw new Error('the plugin showed no panel');
  const theme = given.options.themeColors ? `<style>${themeCSS(scheme)}</style>` : '';
  const policy = `default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; connect-src ${manifest.networkAccess.allowedDomains.join(' ')}`;
  await page.evaluate(({ source, wireText }) => window.showFrame(source, wireText), {
    source: `<meta http-equiv="Content-Security-Policy" content="${policy}">${theme}${given.html}`,
    wireText: wireSource,
  });
  isLoaded = true;
  for (const text of waiting) toUI(text);
  return {
    page,
    ui: page.frameLocator('iframe'),
    realm,
    scene,
    storage,
    faults,
    select: (...ids) => realm.api.select(ids),
    close: () => context.close(),
  };
}

declare global {
  interface Window {
    toSandbox(text: string): void;
    fromSandbox(text: string): void;
    showFrame(html: string, wireText: string): Promise<void>;
  }
}

const embedderPage = `<!doctype html><meta charset="utf-8"><title>Figma, simulated</title>
<style>html, body, iframe { margin: 0; border: 0; width: 100%; height: 100%; display: block }</style>
<script>
  window.showFrame = (html, wireText) => {
    const wire = (0, eval)(wireText);
    const frame = document.createElement('iframe');
    frame.setAttribute('sandbox', 'allow-scripts allow-forms allow-modals allow-popups');
    // A data: URL: no origin, and no secure context, so crypto.randomUUID and the clipboard are missing.
    frame.src = 'data:text/html;charset=utf-8,' + encodeURIComponent(html);
    window.addEventListener('message', (event) => {
      if (event.source !== frame.contentWindow || !event.data || !('pluginMessage' in event.data)) return;
      window.toSandbox(wire.encode(event.data.pluginMessage));
    });
    window.fromSandbox = (text) =>
      frame.contentWindow.postMessage({ pluginMessage: wire.decode(text), pluginId: 'simulated' }, '*');
    return new Promise((resolve) => {
      frame.addEventListener('load', () => resolve(), { once: true });
      document.body.append(frame);
    });
  };
</script><body></body>`;

/** Serves the page around the plugin's frame. */
export async function serveEmbedder(): Promise<{ url: string; port: number; close: () => void }> {
  const server: Server = createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' });
    response.end(embedderPage);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
