import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Tensor } from '../../../shared/safetensors.ts';
import { copyOfTiny, floats, type Network, networkNames, type Tensors } from './changed-model.ts';

let tiny: Awaited<ReturnType<typeof copyOfTiny>>;
beforeAll(async () => {
  tiny = await copyOfTiny();
});
afterAll(() => tiny.remove());

type Change = (tensors: Tensors, metadata: Record<string, string>) => void;
const answerWith = (network: Network, change: Change) => tiny.with(network, change, tiny.answer);

describe.each(networkNames)('every tensor of the %s is used or rejected', (network) => {
  it('with the name of one that the network does not have', async () => {
    const answer = await answerWith(network, (tensors) => {
      tensors.set('mystery.gate.weight', floats([1], [1]));
    });
    expect(answer).toContain(`model-file-invalid: ${tiny.fileOf(network)}`);
    expect(answer).toContain('"mystery.gate.weight"');
  });

  it('with ten names at most', async () => {
    const answer = await answerWith(network, (tensors) => {
      for (let i = 0; i < 40; i++) tensors.set(`mystery.${i}`, floats([1], [1]));
    });
    expect(answer).toContain('"mystery.9" and 30 more');
    expect(answer).not.toContain('"mystery.10"');
  });

  it('but not for what changes nothing', async () => {
    const harmless: Record<Network, readonly string[]> = {
      transformer: ['img_in.input_scale', 'scaled_fp8', 'img_in.comfy_quant'],
      t5: ['spiece_model', 'decoder.block.0.layer.0.layer_norm.weight', 'lm_head.weight', 'logit_scale'],
      clip: [
        'text_projection.weight',
        'logit_scale',
        'text_model.embeddings.position_ids',
        'vision_model.pre_layrnorm.weight',
      ],
      vae: ['loss.logvar'],
    };
    const answer = await answerWith(network, (tensors) => {
      for (const name of harmless[network]) tensors.set(name, floats([1], [1]));
    });
    expect(answer).toBe('loaded');
  });
});

it.each<[Network, string, RegExp]>([
  ['transformer', 'double_blocks.0.img_mlp.0.weight.absmax', /bitsandbytes \(NF4/],
  ['transformer', 'distilled_guidance_layer.in_proj.weight', /Chroma/],
  ['transformer', 'img_in.weight_scale_2', /NVFP4/],
  ['transformer', 'img_in.lora_A.weight', /LoRA; add it as an adapter/],
  ['vae', 'quant_conv.weight', /Stable Diffusion/],
])('of a %s with "%s" it is said what it is', async (network, name, words) => {
  const answer = await answerWith(network, (tensors) => {
    tensors.set(name, floats([1], [1]));
  });
  expect(answer).toMatch(words);
  expect(answer).toContain(name);
});

const without = (tensors: Tensors, prefix: string) => {
  for (const name of tensors.keys()) if (name.startsWith(prefix)) tensors.delete(name);
};

describe('a transformer is checked against its claims', () => {
  it('with blocks of both kinds', async () => {
    expect(await answerWith('transformer', (tensors) => without(tensors, 'single_blocks.'))).toMatch(
      /^model-file-invalid: .*transformer\.safetensors has 0 of the 1 "single_blocks"/,
    );
    expect(await answerWith('transformer', (tensors) => without(tensors, 'double_blocks.'))).toMatch(
      /^model-file-invalid: .*transformer\.safetensors/,
    );
  });

  it('with as many as its metadata says', async () => {
    const blocks = (count: string) =>
      answerWith('transformer', (_, metadata) => {
        metadata.double_blocks = count;
      });
    const real = [...(await tiny.tensorsOf('transformer')).keys()].filter((name) =>
      /^double_blocks\.\d+\.img_mod\.lin\.weight$/.test(name),
    ).length;
    expect(await blocks(String(real))).toBe('loaded');
    expect(await blocks(String(real + 1))).toContain(`has ${real} of the ${real + 1} "double_blocks"`);
  });

  it('with columns to edit with; FLUX.1-dev’s 64 only where the file says so', async () => {
    const narrow = (tensors: Tensors) => {
      const { dtype, shape, data } = tensors.get('img_in.weight')!;
      const [rows = 0, columns = 0] = shape;
      const size = data.length / rows / columns;
      const kept = Buffer.concat(
        Array.from({ length: rows }, (_, row) =>
          data.subarray(row * columns * size, (row * columns + 64) * size),
        ),
      );
      tensors.set('img_in.weight', { dtype, shape: [rows, 64], data: kept });
    };
    expect(await answerWith('transformer', narrow)).toMatch(
      /64 columns in "img_in\.weight": it makes pictures from text/,
    );
    expect(
      await answerWith('transformer', (tensors, metadata) => {
        narrow(tensors);
        metadata.input_columns = '384';
      }),
    ).toBe('loaded');
  });
});

describe('a text encoder is checked against its claims', () => {
  const bias = 'layer.0.SelfAttention.relative_attention_bias.weight';

  it('and not umT5, which has a relative bias in each block', async () => {
    const answer = await answerWith('t5', (tensors) => {
      tensors.set(`encoder.block.1.${bias}`, tensors.get(`encoder.block.0.${bias}`)!);
    });
    expect(answer).toMatch(/^model-file-invalid: .*t5\.safetensors has \d+ tokens.*it is umT5, not T5 v1\.1/);
  });

  const shorter = (tensors: Tensors, names: readonly string[]) => {
    for (const name of names) {
      const { dtype, shape, data } = tensors.get(name) ?? ({ shape: [] } as unknown as Tensor);
      const [rows = 0] = shape;
      if (rows > 0)
        tensors.set(name, {
          dtype,
          shape: shape.with(0, 3),
          data: data.subarray(0, (3 * data.length) / rows),
        });
    }
  };

  it('with a row for each token of its tokenizer', async () => {
    const t5 = await answerWith('t5', (tensors) =>
      shorter(tensors, ['shared.weight', 'encoder.embed_tokens.weight']),
    );
    expect(t5).toMatch(/t5\.safetensors has 3 tokens.*its tokenizer has \d+ tokens/);
    const clip = await answerWith('clip', (tensors) =>
      shorter(tensors, ['text_model.embeddings.token_embedding.weight']),
    );
    expect(clip).toMatch(/clip\.safetensors has 3 tokens.*its tokenizer has \d+ tokens/);
  });

  it('as transformers 5 saves CLIP, without "text_model."', async () => {
    const answer = await answerWith('clip', (tensors) => {
      for (const [name, tensor] of [...tensors]) {
        tensors.delete(name);
        tensors.set(name.replace(/^text_model\./, ''), tensor);
      }
    });
    expect(answer).toBe('loaded');
  });
});
