import { expect, test } from 'vitest';
import { exceptionIn, loadFailure } from '../../../server/runtime/load-failure.ts';

/** As Node.js 20 writes it. */
const trace = (reason: string) => `node:internal/modules/cjs/loader:1661
  return process.dlopen(module, path.toNamespacedPath(filename));
                 ^

Error: ${reason}
    at Module._extensions..node (node:internal/modules/cjs/loader:1661:18)
    at Module.load (node:internal/modules/cjs/loader:1266:32) {
  code: 'ERR_DLOPEN_FAILED'
}

Node.js v20.20.2`;

test.each<[string, RegExp]>([
  [
    `/opt/x/libonnxruntime.so.1: version 'VERS_1.29.0' not found (required by /p/onnxruntime_binding.node)`.replaceAll(
      "'VERS",
      '`VERS',
    ),
    /LD_LIBRARY_PATH/,
  ],
  ['/opt/x/libonnxruntime.so.1: file too short', /LD_LIBRARY_PATH/],
  [
    "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /p/libonnxruntime.so.1)",
    /too old/,
  ],
  [
    'Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by /p/onnxruntime_binding.node)',
    /musl/,
  ],
  ['libstdc++.so.6: cannot open shared object file: No such file or directory', /npm ci/],
])('the loader’s reason comes first, in full: %s', (reason, remedy) => {
  const failure = loadFailure(trace(reason));
  expect(failure?.reason).toBe(reason);
  expect(failure?.remedy).toMatch(remedy);
});

test('another exception is its own line, not a load failure', () => {
  const said = trace('something else');
  expect(loadFailure(said)).toBeUndefined();
  expect(exceptionIn(said)).toBe('Error: something else');
  expect(exceptionIn('a warning')).toBeUndefined();
});
