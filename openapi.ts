/**
 * Writes docs/openapi.json, which the companion serves at /v1/openapi.json, and the types that openapi-typescript generates from it
 * for the client's test.
 */
import { writeFile } from 'node:fs/promises';
import { openAPIDocument } from './server/http/openapi.ts';
import { documentFile, writeTypes } from './test/protocol/openapi/types.ts';

await writeFile(documentFile, `${JSON.stringify(openAPIDocument(), null, 2)}\n`);
await writeTypes();
