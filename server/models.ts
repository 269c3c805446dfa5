/** `npm run models`: which models there are, and their installation. */
import { runModels } from './cli/models.ts';
import { publishedModels } from './install/published.ts';

process.exitCode = await runModels(process.argv, publishedModels);
