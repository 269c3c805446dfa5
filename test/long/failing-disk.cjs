/**
 * Preloaded by Node: a disk that is full from the write number ACEPP_FULL_AT on, in the process that ACEPP_FULL_IN names
 * (`companion` or `engine`), and in both while the file ACEPP_FULL_WHILE is there. Sockets, pipes and locks go on working.
 */
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');

const marker = process.env.ACEPP_FULL_WHILE;
const isEngine = (process.argv[1] ?? '').endsWith('engine.js');
const counts = (process.env.ACEPP_FULL_IN === 'engine') === isEngine;
const at = Number(process.env.ACEPP_FULL_AT);
const { existsSync, writeFileSync, rmSync } = fs;
let count = 0;

/** Throws where the disk is full now. */
function write(path) {
  if (existsSync(`${marker}.armed`) && counts) {
    count++;
    if (count === at) {
      writeFileSync(marker, `${path}`);
      rmSync(`${marker}.armed`);
    }
  }
  if (!existsSync(marker)) return;
  throw Object.assign(new Error(`ENOSPC: no space left on device, write`), {
    code: 'ENOSPC',
    errno: -28,
    syscall: 'write',
    path,
  });
}

function wrap(object, name, pathOf) {
  const original = object[name];
  object[name] = function (...values) {
    const last = values.at(-1);
    try {
      write(pathOf.apply(this, values));
    } catch (error) {
      if (typeof last !== 'function') return Promise.reject(error);
      process.nextTick(last, error);
      return undefined;
    }
    return original.apply(this, values);
  };
}

const given = (path) => path;
for (const name of ['writeFile', 'appendFile', 'mkdir', 'copyFile', 'link']) wrap(fs.promises, name, given);
const open = fs.promises.open;
fs.promises.open = async (path, flags = 'r', ...rest) => {
  if (/[wa]/.test(String(flags))) write(path);
  const handle = await open(path, flags, ...rest);
  for (const name of ['write', 'writeFile', 'appendFile', 'sync']) {
    // Syncing what was only read needs no space.
    if (name === 'sync' && !/[wa+]/.test(String(flags))) continue;
    const original = handle[name].bind(handle);
    handle[name] = async (...values) => {
      write(path);
      return original(...values);
    };
  }
  return handle;
};
for (const name of ['write', 'writev']) wrap(fs, name, () => 'a stream');
syncBuiltinESMExports();
