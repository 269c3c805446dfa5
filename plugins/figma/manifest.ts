/** The project's details from the root manifest.json. */
export interface ProjectManifest {
  readonly id: string;
  readonly name: string;
  readonly ports: readonly number[];
}

/**
 * Figma's manifest. Figma rejects unknown keys, requires a scheme and a port in each network entry, and
 * rejects raw addresses: the companion is `localhost` here.
 */
export function figmaManifest({ id, name, ports }: ProjectManifest): object {
  return {
    name,
    id,
    api: '1.0.0',
    main: 'main.js',
    ui: 'ui.html',
    editorType: ['figma'],
    documentAccess: 'dynamic-page',
    networkAccess: {
      allowedDomains: ports.map((port) => `http://localhost:${port}`),
      reasoning: 'Pictures are edited by the ACE++ companion on your own machine; nothing leaves it.',
    },
  };
}
