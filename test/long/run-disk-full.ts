import { fillDisk } from './disk-full.ts';

const reports = { companion: await fillDisk('companion'), engine: await fillDisk('engine') };
console.log(JSON.stringify(reports, null, 2));
process.exitCode = Object.values(reports).some(({ wrong }) => wrong.length > 0) ? 1 : 0;
