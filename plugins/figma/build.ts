/** Bundles the Figma plugin: ready for "Import plugin from manifest". */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import { figmaManifest, type ProjectManifest } from './manifest.ts';

const folder = import.meta.dirname;

/** Writes manifest.json, main.js (the sandbox) and ui.html (one file) into `outdir`. */
export async function buildFigma(manifest: ProjectManifest, outdir: string): Promise<void> {
  const [main, ui] = await Promise.all([
    // Figma's sandbox has no DOM and, by its manual, supports at least ES2017.
    bundle({ entryPoints: [path.join(folder, 'sandbox/main.ts')], target: 'es2017', platform: 'neutral' }),
    bundle({
      entryPoints: [path.join(folder, 'ui/main.tsx')],
      target: 'es2020',
      platform: 'browser',
      jsx: 'automatic',
      jsxImportSource: 'preact',
      define: { companionPorts: JSON.stringify(manifest.ports) },
    }),
  ]);
  await mkdir(outdir, { recursive: true });
  await Promise.all([
    writeFile(path.join(outdir, 'manifest.json'), `${JSON.stringify(figmaManifest(manifest), null, 2)}\n`),
    writeFile(path.join(outdir, 'main.js'), main.js),
    writeFile(path.join(outdir, 'ui.html'), page(manifest.name, ui)),
  ]);
}

interface Bundle {
  readonly js: string;
  readonly css: string;
}

async function bundle(options: BuildOptions): Promise<Bundle> {
  const { outputFiles = [] } = await build({
    bundle: true,
    format: 'iife',
    minify: true,
    write: false,
    outdir: 'memory',
    logLevel: 'warning',
    ...options,
  });
  const text = (extension: string) => outputFiles.find((file) => file.path.endsWith(extension))?.text ?? '';
  return { js: text('.js'), css: text('.css') };
}

/** Figma loads a single file with inline script and style; neither may contain its own closing tag. */
function page(title: string, { js, css }: Bundle): string {
  const script = js.replaceAll(/<(\/script|!--)/gi, '\\x3c$1');
  const style = css.replaceAll(/<(\/style)/gi, '\\3c $1');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<style>${style}</style>
<div id="app"></div>
<script>${script}</script>
</html>
`;
}
