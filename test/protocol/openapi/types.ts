import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { projectRoot } from '../../../server/disk/paths.ts';

export const documentFile = path.join(projectRoot, 'docs/openapi.json');
export const typesFile = path.join(import.meta.dirname, 'companion-api.ts');

/** What openapi-typescript makes of docs/openapi.json: binary bodies as blobs, as its manual shows it. */
export async function typesOfDocument(): Promise<string> {
  const blob = ts.factory.createTypeReferenceNode('Blob');
  const nodes = await openapiTS(await readFile(documentFile, 'utf8'), {
    transform: ({ format }) => (format === 'binary' ? blob : undefined),
  });
  return `// Written by "npm run openapi".\n${astToString(nodes)}`;
}

export async function writeTypes(): Promise<void> {
  await writeFile(typesFile, await typesOfDocument());
}
