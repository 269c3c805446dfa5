/** Before a run of Vitest: tests run what is in dist/, so it is built from the sources as they are. */
import { buildAll } from '../build.ts';

export const setup = buildAll;
