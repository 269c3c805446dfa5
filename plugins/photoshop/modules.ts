import type { PhotoshopModule, UXPModule } from './api.ts';

/** UXP's own, which knows the modules of the host. */
declare const require: {
  (name: 'photoshop'): PhotoshopModule;
  (name: 'uxp'): UXPModule;
};

export const { app, core, action, imaging, constants } = require('photoshop');
export const { entrypoints, storage } = require('uxp');
