import { render } from 'preact';
import { createConnection } from '../../panel/models/connection.ts';
import { createSession, type Session } from '../../panel/models/session.ts';
import { createSettings, type Settings } from '../../panel/models/settings.ts';
import { newUUID } from '../../panel/uuid.ts';
import { App } from './App.tsx';
import { createFigmaHost } from './figma-host.ts';
import { connectSandbox } from './sandbox.ts';
import { createWork } from './work.ts';
import '@preact/signals';
import '../../panel/panel.css';
import './figma.css';

const sandbox = connectSandbox();
const work = createWork(sandbox);
// The host is made first, and asked only later.
const panel: { settings?: Settings; session?: Session } = {};
const host = createFigmaHost({
  sandbox,
  work,
  references: () => panel.settings?.references.value ?? [],
  tell: (note) => {
    if (panel.session) panel.session.note.value = note;
  },
});
const connection = createConnection(host);
const settings = createSettings(host);
const session = createSession({ host, settings, client: connection.client, newId: newUUID });
Object.assign(panel, { settings, session });

render(
  <App host={host} work={work} settings={settings} session={session} connection={connection} />,
  document.getElementById('app')!,
);
