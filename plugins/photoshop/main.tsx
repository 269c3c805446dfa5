import { render } from 'preact';
import { createConnection } from '../panel/models/connection.ts';
import { createSession } from '../panel/models/session.ts';
import { createSettings } from '../panel/models/settings.ts';
import { createPhotoshopHost } from './host.ts';
import { newId } from './id.ts';
import { panelId } from './manifest.ts';
import { entrypoints } from './modules.ts';
import { PhotoshopPanel } from './PhotoshopPanel.tsx';
import { installUTF8 } from './utf8.ts';
import '@preact/signals';

installUTF8(globalThis);

// At once: Photoshop drops a plugin that sets its entry points up later than some 20 ms after its start.
entrypoints.setup({
  panels: {
    [panelId]: {
      create(root) {
        const host = createPhotoshopHost();
        const settings = createSettings(host);
        const connection = createConnection(host);
        const session = createSession({ host, settings, client: connection.client, newId });
        render(
          <PhotoshopPanel host={host} settings={settings} session={session} connection={connection} />,
          root,
        );
      },
      destroy() {
        document.body.replaceChildren();
      },
    },
  },
});
