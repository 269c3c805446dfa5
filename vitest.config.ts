import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/build-once.ts',
    // A busy machine is no failure: what hangs is found by its own limits.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    pool: 'forks',
    // Tests that open sessions in their own process must not report to Microsoft either.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // This leaves two cores idle for only 2% of the time.
    maxWorkers: 3,
  },
});
