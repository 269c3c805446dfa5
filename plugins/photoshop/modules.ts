import type { PhotoshopModule, UXPModule } from './api.ts';

/** UXP's own `require`, which resolves the host's modules. */
declare const require: {
  (name: 'photoshop'): PhotoshopModule;
  (name: 'uxp'): UXPModule;
};

export const { app, core, action, imaging, constants } = require('photoshop');
export const { entrypoints, storage } = require('uxp');
