/**
 * The models that can be installed, and where each file of them is published. Sizes and hashes are those on
 * the files' pages, as several projects recorded them independently (black-forest-labs/flux has the first in
 * docs/fill.md); if none are given here, they come from the hub, along with the commit. Any given here must
 * match the hub's.
 */
import { modelFiles } from '../catalogue/catalogue.ts';
import type { LicenceId } from './licences.ts';

/** A file in a repository of the hub. */
export interface Source {
  readonly repo: string;
  readonly path: string;
  /** A commit, or the branch that the hub resolves to one. */
  readonly revision: string;
  readonly licence: LicenceId;
  readonly size?: number;
  readonly sha256?: string;
}

/** The T5-XXL variant: 16 bits per weight, or 8 with nearly the same result. */
export const t5Precisions = ['fp16', 'fp8'] as const;
export type T5Precision = (typeof t5Precisions)[number];

/** A file of a model. */
export interface PublishedFile {
  /** Relative to the model's folder, as in `modelFiles` and the adapters' folder. */
  readonly file: string;
  readonly title: string;
  readonly source: Source;
  /** Set if the file is one of several alternatives; the first is the default. */
  readonly t5?: T5Precision;
  /** The same weights in a diffusers repository: used if they are in a hub cache, never downloaded. */
  readonly diffusers?: { readonly repo: string; readonly path: string };
  /**
   * Tensor shapes of this network, by the loader's names: they identify files that were modified or stored
   * differently.
   */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
}

export interface PublishedModel {
  readonly id: string;
  readonly title: string;
  readonly parts: readonly PublishedFile[];
}

const fill = {
  repo: 'black-forest-labs/FLUX.1-Fill-dev',
  revision: '358293da0354175698b67ec8299acf928313a78a',
  licence: 'flux-1-dev-non-commercial',
} as const;
const acePlus = {
  repo: 'ali-vilab/ACE_Plus',
  revision: 'main',
  licence: 'flux-1-dev-non-commercial',
} as const;
const textEncoders = {
  repo: 'comfyanonymous/flux_text_encoders',
  revision: '6af2a98e3f615bdfa612fbd85da93d1ed5f69ef5',
} as const;
const openAIClip = {
  repo: 'openai/clip-vit-large-patch14',
  revision: '32bd64288804d66eefd0ccbe215aa642df71cc41',
  licence: 'mit',
} as const;

/** FLUX.1's transformer (black-forest-labs/flux, util.py): 19 double and 38 single blocks, 3072 wide. */
const fluxShapes = (inChannels: number) => ({
  'img_in.weight': [3072, inChannels],
  'txt_in.weight': [3072, 4096],
  'double_blocks.18.img_attn.proj.weight': [3072, 3072],
  'single_blocks.37.linear2.weight': [3072, 15360],
});
/** T5 v1.1 XXL's encoder (its config.json): 24 blocks, 4096 wide. */
const t5Shapes = {
  'encoder.block.23.layer.1.DenseReluDense.wo.weight': [4096, 10240],
  'encoder.final_layer_norm.weight': [4096],
};
/** The text encoder of CLIP ViT-L/14 (its config.json): 12 layers, 768 wide. */
const clipShapes = {
  'text_model.embeddings.token_embedding.weight': [49408, 768],
  'text_model.encoder.layers.11.mlp.fc2.weight': [768, 3072],
};

/** What every model on FLUX.1 needs besides its transformer. */
const shared: readonly PublishedFile[] = [
  {
    file: modelFiles.t5,
    title: 'T5-XXL, 16 bits',
    t5: 'fp16',
    source: {
      ...textEncoders,
      path: 't5xxl_fp16.safetensors',
      licence: 'apache-2.0',
      size: 9_787_841_024,
      sha256: '6e480b09fae049a72d2a8c5fbccb8d3e92febeb233bbe9dfe7256958a9167635',
    },
    diffusers: { repo: fill.repo, path: 'text_encoder_2/model.safetensors' },
    shapes: t5Shapes,
  },
  {
    file: modelFiles.t5,
    title: 'T5-XXL, 8 bits',
    t5: 'fp8',
    source: {
      ...textEncoders,
      path: 't5xxl_fp8_e4m3fn.safetensors',
      licence: 'apache-2.0',
      size: 4_893_934_904,
      sha256: '7d330da4816157540d6bb7838bf63a0f02f573fc48ca4d8de34bb0cbfd514f09',
    },
    shapes: t5Shapes,
  },
  {
    file: modelFiles.clip,
    title: 'CLIP-L',
    source: {
      ...textEncoders,
      path: 'clip_l.safetensors',
      licence: 'mit',
      size: 246_144_152,
      sha256: '660c6f5b1abae9dc498ac2d21e1347d2abdb0cf6c0c0c8576cd796491d9a6cdd',
    },
    diffusers: { repo: fill.repo, path: 'text_encoder/model.safetensors' },
    shapes: clipShapes,
  },
  {
    file: modelFiles.vae,
    title: 'autoencoder',
    source: {
      ...fill,
      path: 'ae.safetensors',
      size: 335_304_388,
      sha256: 'afc8e28272cd15db3919bacdb6918ce9c1ed22e96cb12c4d5ed0fba823529e38',
    },
    // No shapes: Stable Diffusion 3's has exactly the same ones, with other values.
    diffusers: { repo: fill.repo, path: 'vae/diffusion_pytorch_model.safetensors' },
  },
  // google/t5-v1_1-xxl itself has no tokenizer.json.
  {
    file: modelFiles.t5Tokenizer,
    title: "T5's tokenizer",
    source: { ...fill, path: 'tokenizer_2/tokenizer.json' },
  },
  {
    file: modelFiles.t5TokenizerConfig,
    title: "T5's tokenizer, configuration",
    source: { ...fill, path: 'tokenizer_2/tokenizer_config.json' },
  },
  {
    file: modelFiles.clipTokenizer,
    title: "CLIP's tokenizer",
    source: { ...openAIClip, path: 'tokenizer.json' },
  },
  {
    file: modelFiles.clipTokenizerConfig,
    title: "CLIP's tokenizer, configuration",
    source: { ...openAIClip, path: 'tokenizer_config.json' },
  },
];

const adapter = (name: string, title: string, path: string): PublishedFile => ({
  file: `adapters/${name}.safetensors`,
  title,
  source: { ...acePlus, path },
});

export const publishedModels: readonly PublishedModel[] = [
  {
    id: 'flux-fill',
    title: 'FLUX.1-Fill-dev with the ACE++ adapters: recommended by the authors of ACE++',
    parts: [
      {
        file: modelFiles.transformer,
        title: 'FLUX.1-Fill-dev',
        source: {
          ...fill,
          path: 'flux1-fill-dev.safetensors',
          size: 23_804_922_408,
          sha256: '03e289f530df51d014f48e675a9ffa2141bc003259bf5f25d75b957e920a41ca',
        },
        diffusers: { repo: fill.repo, path: 'transformer/diffusion_pytorch_model.safetensors' },
        shapes: fluxShapes(384),
      },
      adapter('portrait', 'ACE++ adapter: portrait', 'portrait/comfyui_portrait_lora64.safetensors'),
      adapter('subject', 'ACE++ adapter: subject', 'subject/comfyui_subject_lora16.safetensors'),
      adapter(
        'local-editing',
        'ACE++ adapter: local editing',
        'local_editing/comfyui_local_lora16.safetensors',
      ),
      ...shared,
    ],
  },
  {
    id: 'ace-plus-fft',
    title: 'ACE++ FFT: one fully fine-tuned model for all tasks; its authors find the adapters better',
    parts: [
      {
        file: modelFiles.transformer,
        title: 'ACE++ FFT',
        source: { ...acePlus, path: 'ace_plus_fft.safetensors' },
        shapes: fluxShapes(448),
      },
      ...shared,
    ],
  },
];
