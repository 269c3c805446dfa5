import manifest from '../../manifest.json' with { type: 'json' };

export const panelId = 'layers';

export interface ManifestIcon {
  readonly width: number;
  readonly height: number;
  readonly path: string;
  readonly theme: readonly string[];
  readonly scale: readonly number[];
}

/**
 * Every address the panel calls, in the order it tries them: both local host names, on each companion port.
 */
export const companionAddresses: readonly string[] = manifest.ports.flatMap((port) => [
  `http://localhost:${port}`,
  `http://127.0.0.1:${port}`,
]);

/** The plugin's version 5 manifest, from the one source for all hosts. */
export function photoshopManifest() {
  return {
    manifestVersion: 5,
    id: manifest.id,
    name: manifest.name,
    version: manifest.version,
    main: 'index.html',
    // An object, not a list: a .ccx with a list can't be installed.
    host: { app: 'PS', minVersion: '25.2.0', data: { apiVersion: 2 } },
    requiredPermissions: {
      // The only value that allows both local host names; see docs/photoshop.md. A list rejects 127.0.0.1
      // (UXP 27.10), and `localhost` alone fails on some Macs. companionAddresses lists what is really
      // called.
      network: { domains: 'all' },
      localFileSystem: 'request',
    },
    icons: icons('plugin', 24),
    entrypoints: [
      {
        type: 'panel',
        id: panelId,
        label: { default: manifest.name },
        minimumSize: { width: 230, height: 300 },
        preferredDockedSize: { width: 300, height: 620 },
        preferredFloatingSize: { width: 320, height: 680 },
        icons: icons('panel', 23),
      },
    ],
  };
}

/** Light strokes for dark themes, and vice versa. */
export const iconThemes = {
  dark: { theme: ['darkest', 'dark', 'medium'], colour: '#e8eaee' },
  light: { theme: ['lightest', 'light'], colour: '#1c1f24' },
} as const;

function icons(species: 'plugin' | 'panel', side: number): readonly ManifestIcon[] {
  return Object.entries(iconThemes).map(([name, { theme }]) => ({
    width: side,
    height: side,
    path: `icons/${species}-${name}.png`,
    theme,
    scale: [1, 2],
  }));
}
