import { LocalQueue } from '../../../server/jobs/local-queue.ts';
import { queueSuite } from './queue-suite.ts';

queueSuite('local', (parts) => new LocalQueue(parts));
