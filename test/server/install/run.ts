/**
 * `acepp models` with another catalogue, so that what it installs can be small: for tests that kill the real
 * process.
 */
import { type Grain, runModels } from '../../../server/cli/models.ts';
import type { PublishedModel } from '../../../server/install/published.ts';

const { models, grain } = JSON.parse(process.env.TEST_CATALOGUE ?? '') as {
  models: PublishedModel[];
  grain: Grain;
};
process.exitCode = await runModels(process.argv.slice(2), models, grain);
