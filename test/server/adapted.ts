import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { projectRoot } from '../../server/disk/paths.ts';
import { bytesOf, encodeContainer, type Tensor } from '../../shared/safetensors.ts';

/** Puts the model `adapted` into a companion's data folder: the tiny one with an adapter of this name. */
export async function installAdapted(home: string, name: string): Promise<void> {
  const model = path.join(home, 'models', 'adapted');
  await cp(path.join(projectRoot, 'test/reference/arrays/tiny'), model, { recursive: true });
  await mkdir(path.join(model, 'adapters'), { recursive: true });
  const data = (count: number) => bytesOf(Float32Array.from({ length: count }, (_, i) => Math.sin(i) / 4));
  const tensors = new Map<string, Tensor>([
    ['final_layer.linear.lora_A.weight', { dtype: 'F32', shape: [2, 64], data: data(128) }],
    ['final_layer.linear.lora_B.weight', { dtype: 'F32', shape: [64, 2], data: data(128) }],
  ]);
  const file = path.join(model, 'adapters', `${name}.safetensors`);
  await writeFile(file, encodeContainer({ metadata: {}, tensors }));
}
