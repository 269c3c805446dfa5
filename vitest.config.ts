import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Tests that open sessions in their own process must not report to Microsoft either.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // More than the two cores that a small machine has: many tests wait for a page or for a process to end.
    maxWorkers: 3,
  },
});
