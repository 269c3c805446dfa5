import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import { Icons } from '../panel/components/icon.tsx';
import { createConnection } from '../panel/models/connection.ts';
import { createSession } from '../panel/models/session.ts';
import { createSettings } from '../panel/models/settings.ts';
import { newUUID } from '../panel/uuid.ts';
import { createPhotoshopHost } from './host.ts';
import type { InformationKind } from './information.tsx';
import { createLog } from './log.ts';
import { panelId } from './manifest.ts';
import { entrypoints } from './modules.ts';
import { PhotoshopPanel } from './photoshop-panel.tsx';
import { PNGIcon } from './png-icon.tsx';
import { installUTF8 } from './utf8.ts';

installUTF8(globalThis);

const log = createLog();
const information = signal<InformationKind | undefined>(undefined);
let root: HTMLElement | undefined;

// Do this at once: Photoshop drops a plugin that sets up its entry points more than about 20 ms after it
// starts.
entrypoints.setup({
  panels: {
    [panelId]: {
      create(given) {
        root = given;
        const host = createPhotoshopHost();
        const settings = createSettings(host);
        const connection = createConnection(host);
        const session = createSession({ host, settings, client: connection.client, newId: newUUID });
        effect(() => {
          const { value } = connection.state;
          log.add(
            `companion: ${value.kind}${'error' in value ? `, ${value.error.code}: ${value.error.detail}` : ''}`,
          );
        });
        effect(() => {
          const { value } = session.state;
          if (value.kind === 'running') return;
          const error = 'error' in value && value.error ? `, ${value.error.code}: ${value.error.detail}` : '';
          log.add(`edit: ${value.kind}${error}`);
        });
        render(
          <Icons.Provider value={PNGIcon}>
            <PhotoshopPanel
              host={host}
              settings={settings}
              session={session}
              connection={connection}
              log={log}
              information={information}
            />
          </Icons.Provider>,
          root,
        );
      },
      destroy() {
        if (root) render(null, root);
      },
      menuItems: [
        { id: 'reload', label: 'Reload' },
        { id: 'log', label: 'Show Log' },
        { id: 'about', label: 'About ACE++ Layers' },
      ],
      invokeMenu(id) {
        if (id === 'reload') location.reload();
        else if (id === 'log' || id === 'about') information.value = id;
      },
    },
  },
});
