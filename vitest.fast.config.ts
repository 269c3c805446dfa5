/** `npm run test:fast`: tests that need no browser, no host simulator and few processes. */
import { configDefaults, defineConfig, mergeConfig } from 'vitest/config';
import config from './vitest.config.ts';

export default mergeConfig(
  config,
  defineConfig({
    test: {
      exclude: [
        ...configDefaults.exclude,
        'test/{browser,figma,photoshop,plugins,protocol}/**',
        // These start the companion or the command line for each test.
        'test/server/{cli,http}/**',
        'test/server/engine/engine.test.ts',
        'test/server/install/{install,download}.test.ts',
        'test/server/jobs/**',
        'test/server/disk/file-lock.test.ts',
      ],
    },
  }),
);
