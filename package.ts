/** Builds what is installed into the hosts. */
import manifest from './manifest.json' with { type: 'json' };
import { buildFigma } from './plugins/figma/build.ts';

await buildFigma(manifest, 'dist/figma');
