/** The ports of manifest.json, which the bundler writes in: the manifest allows these and no others. */
declare const companionPorts: readonly number[];

/** Style sheets go through the bundler, which writes them into the page. */
declare module '*.css';
