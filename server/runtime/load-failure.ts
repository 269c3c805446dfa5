/**
 * Why ONNX Runtime's library fails to load, from the output of a process that died: the reason first, without
 * the stack trace.
 */

export interface LoadFailure {
  /** In the loader's words. */
  readonly reason: string;
  readonly remedy: string;
}

/** Messages of the loaders of Linux, macOS and Windows (glibc's and musl's dynamic linkers, dyld). */
const loaderErrors =
  /^(?:\w*Error: )?(.*(?:version `[^']+' not found|cannot open shared object file|invalid ELF header|wrong ELF class|file too short|undefined symbol|symbol not found|Error relocating|Error loading shared library|image not found|specified module could not be found|is not a valid Win32 application).*)$/m;

const remedies: readonly (readonly [RegExp, string])[] = [
  [
    /GLIBC(?:XX)?_\d|CXXABI_/,
    'This system is too old for ONNX Runtime, which needs glibc 2.28 or newer: use a newer system or container image.',
  ],
  [
    /libonnxruntime\.so/,
    'Another ONNX Runtime lies in a folder of LD_LIBRARY_PATH: start without that folder.',
  ],
  [
    /Error relocating|Error loading shared library|ld-linux|ld-musl/,
    'ONNX Runtime needs glibc, and this system has musl (Alpine): use an image such as node:22-slim.',
  ],
];

/** @param said what the process wrote to stderr */
export function loadFailure(said: string): LoadFailure | undefined {
  const reason = loaderErrors.exec(said)?.[1]?.trim();
  if (reason === undefined) return undefined;
  const known = remedies.find(([pattern]) => pattern.test(reason))?.[1];
  return {
    reason,
    remedy: known ?? 'Install what is missing, or run "npm ci" again. "acepp doctor" checks it.',
  };
}

/** The line with the exception, which stack traces tend to bury. */
export function exceptionIn(said: string): string | undefined {
  return /^(?:Uncaught )?\w*Error(?: \[\w+\])?: .+$/m.exec(said)?.[0];
}
