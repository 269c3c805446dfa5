/**
 * What the panel keeps. Figma keeps it for the plugin in all files; an edit belongs to one of them, as its layers have names
 * only there, so it is kept under the document's own id, which lies in the document.
 */
export async function readStored(key: string): Promise<string | undefined> {
  const own = key === editKey ? ownKey(documentId()) : key;
  const kept: unknown = own === undefined ? undefined : await figma.clientStorage.getAsync(own);
  return typeof kept === 'string' ? kept : undefined;
}

export async function store({ key, value }: { readonly key: string; readonly value: string }): Promise<void> {
  if (key !== editKey) return figma.clientStorage.setAsync(key, value);
  const own = ownKey(documentId() || (value === '' ? '' : nameDocument()));
  if (own !== undefined) await figma.clientStorage.setAsync(own, value);
}

const editKey = 'edit';
const idKey = 'id';

function documentId(): string {
  return figma.root.getPluginData(idKey);
}

/** Only documents in which something is edited get an id: writing it is a change. */
function nameDocument(): string {
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  figma.root.setPluginData(idKey, id);
  return id;
}

function ownKey(id: string): string | undefined {
  return id === '' ? undefined : `${editKey}:${id}`;
}
