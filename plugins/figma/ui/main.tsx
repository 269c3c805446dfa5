import { render } from 'preact';
import { createConnection } from '../../panel/models/connection.ts';
import { createSession } from '../../panel/models/session.ts';
import { createSettings, type Settings } from '../../panel/models/settings.ts';
import { newUUID } from '../../panel/uuid.ts';
import { App } from './app.tsx';
import { createFigmaHost } from './figma-host.ts';
import { connectSandbox } from './sandbox.ts';
import { createWork } from './work.ts';
import '@preact/signals';
import '../../panel/panel.css';
import './figma.css';

const sandbox = connectSandbox();
const work = createWork(sandbox);
// The host is created first, and only reads this later.
let settings: Settings | undefined;
const host = createFigmaHost({ sandbox, work, references: () => settings?.references.value ?? [] });
const connection = createConnection(host);
settings = createSettings(host);
const session = createSession({ host, settings, client: connection.client, newId: newUUID });

render(
  <App host={host} work={work} settings={settings} session={session} connection={connection} />,
  document.getElementById('app')!,
);
