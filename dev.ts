/**
 * One round of `npm run dev`: builds everything and runs the companion until `tsx watch` stops both because a source file changed.
 */
import { spawn } from 'node:child_process';
import { buildAll } from './build.ts';
import manifest from './manifest.json' with { type: 'json' };
import { buildFigma } from './plugins/figma/build.ts';

const begin = performance.now();
await buildAll();
await buildFigma(manifest, 'dist/figma');
console.error(`built in ${((performance.now() - begin) / 1000).toFixed(1)} s`);

const companion = spawn(
  process.execPath,
  ['dist/server/acepp.js', 'start', '--no-browser', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
companion.on('exit', (code) => process.exit(code ?? 1));
// Ctrl-C already reaches every process in the terminal, including the companion; forwarding it would count as a second Ctrl-C.
let isEnding = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (signal !== 'SIGINT' && !isEnding) companion.kill(signal);
    isEnding = true;
  });
}
