import { CodedError } from '../../shared/errors.ts';
import { listAdapters, listModels, type ModelEntry, pocket } from '../catalogue/catalogue.ts';
import type { Provider } from '../runtime/provider.ts';

/**
 * The models to try if a request names none, best first. On a GPU: the installed ones, those with adapters
 * first and pocket last. On the CPU, where a step of a large model takes minutes: only pocket.
 * @throws CodedError `model-missing` if there is none
 */
export async function defaultModels(provider: Provider): Promise<readonly ModelEntry[]> {
  const models = await listModels();
  const small = models.filter(({ id }) => id === pocket.id);
  // Quantized forms are chosen later, by what fits into memory.
  const own = models.filter(({ id, quantized }) => id !== pocket.id && !quantized);
  const adapters = await Promise.all(own.map(listAdapters));
  const ranked = [
    ...own.filter((_, i) => adapters[i]!.length > 0),
    ...own.filter((_, i) => adapters[i]!.length === 0),
  ];
  const preferred = provider === 'cpu' && small.length > 0 ? small : [...ranked, ...small];
  if (preferred.length > 0) return preferred;
  throw new CodedError('model-missing', {
    detail: 'No model is installed.',
    remedy: 'Install the project again: it includes a small model.',
  });
}
