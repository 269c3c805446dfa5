/**
 * What ends a command in order. SIGHUP comes when the terminal is closed, on Windows too, which ends the process some seconds
 * later whatever it does; SIGBREAK is Ctrl-Break, which Windows alone has (nodejs.org/api/process.html, Signal events).
 */
export const endingSignals: readonly NodeJS.Signals[] =
  process.platform === 'win32'
    ? ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK']
    : ['SIGINT', 'SIGTERM', 'SIGHUP'];
