import { render } from 'preact';
import { createConnection } from '../panel/models/connection.ts';
import { createSession } from '../panel/models/session.ts';
import { createSettings } from '../panel/models/settings.ts';
import { newUUID } from '../panel/uuid.ts';
import { createDocument } from './document.ts';
import { Page } from './page.tsx';
import { createPageHost } from './page-host.ts';
import { takeToken } from './token.ts';
import { createTools } from './tools.ts';
import '@preact/signals';
import '../panel/panel.css';
import './page.css';

const pageDocument = createDocument();
const host = createPageHost(pageDocument);
const connection = createConnection({ ...host, offeredToken: takeToken() });
const settings = createSettings(host);
const session = createSession({
  host,
  settings,
  client: connection.client,
  newId: newUUID,
});
// Opening a link with a new token in an already open tab only changes the fragment.
window.addEventListener('hashchange', () => location.reload());

render(
  <Page
    host={host}
    settings={settings}
    session={session}
    connection={connection}
    pageDocument={pageDocument}
    tools={createTools()}
  />,
  document.getElementById('app')!,
);
