/**
 * Signals that shut a command down cleanly. SIGHUP is sent when the terminal closes, also on Windows, which
 * kills the process a few seconds later in any case; SIGBREAK is Ctrl-Break, on Windows only
 * (nodejs.org/api/process.html, Signal events).
 */
export const endingSignals: readonly NodeJS.Signals[] =
  process.platform === 'win32'
    ? ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK']
    : ['SIGINT', 'SIGTERM', 'SIGHUP'];
