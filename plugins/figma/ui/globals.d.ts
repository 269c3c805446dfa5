/** The ports of manifest.json, inlined by the bundler: the manifest allows these and no others. */
declare const companionPorts: readonly number[];

/** The bundler inlines style sheets into the page. */
declare module '*.css';
