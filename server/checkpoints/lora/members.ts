/** Combines an adapter's tensors for one layer into its change of the layer's weight. */
import { elementCount } from '../../../shared/safetensors.ts';
import type { StoredTensor } from '../tensor.ts';
import type { Member } from './adapter-keys.ts';
import type { DeltaForm, Matrix, WeightChange } from './change.ts';
import { adapterInvalid } from './invalid.ts';

export type LayerMembers = { readonly [member in Member]?: StoredTensor };

export interface MembersContext {
  readonly file: string;
  /** The target's name, with its suffix. */
  readonly name: string;
  /** alpha / rank if there is no alpha tensor. */
  readonly factorOf: (module: string, rank: number) => number;
  readonly numbers: (tensor: StoredTensor) => Promise<Float32Array>;
  /** @throws CodedError `adapter-invalid` if a tensor has another shape */
  readonly check: (tensor: StoredTensor, wanted: readonly number[]) => void;
  /** Under the adapter's name. */
  readonly named: (tensor: StoredTensor) => StoredTensor;
}

/**
 * Input columns of FLUX.1-dev: adapters trained for it change only the first columns of an editing model's
 * input.
 */
const devColumns = 64;
const inputLayer = /^(?:img_in|x_embedder)\.weight$/;

/**
 * @param shape of the layer's weight, [N, K]
 * @returns undefined if the members do not change the weight
 * @throws CodedError `adapter-invalid` with the tensor that is missing or does not fit
 */
export async function weightChange(
  members: LayerMembers,
  shape: readonly number[],
  context: MembersContext,
): Promise<Omit<WeightChange, 'begin' | 'rows'> | undefined> {
  const present = Object.values(members).filter((tensor) => tensor !== undefined);
  if (present.length === 0) return undefined;
  const { file, name, named } = context;
  const [rows = 0, all = 0] = shape;
  const first = present[0]!;
  if (shape.length < 2) {
    throw adapterInvalid(
      `${file} has "${first.name}", but "${name}" is not a layer that a pair of matrices could adapt.`,
    );
  }
  const given = columnsOf(members);
  const columns = given === devColumns && all > devColumns && inputLayer.test(name) ? devColumns : all;
  const { form, rank } = deltaForm(members, [rows, columns], context);
  const { bias, alpha, magnitude } = members;
  if (bias) context.check(bias, [rows]);
  return {
    kind: 'weight',
    form,
    factor: await factorOf(alpha, rank, context),
    ...(columns < all && { columns }),
    ...(bias && { bias: named(bias) }),
    ...(magnitude && { magnitude: await magnitudeOf(magnitude, rows, columns, context) }),
  };
}

/** K of the given members, if their shapes show it. */
function columnsOf({ down, hadamardDown1, diff }: LayerMembers): number | undefined {
  const tensor = down ?? hadamardDown1 ?? diff;
  return tensor && elementCount(tensor.shape.slice(1));
}

interface Form {
  readonly form: DeltaForm;
  /** The divisor of alpha; undefined if alpha is ignored. */
  readonly rank: number | undefined;
}

function deltaForm(
  members: LayerMembers,
  [rows, columns]: readonly [number, number],
  context: MembersContext,
): Form {
  const { check, named, file } = context;
  const pair = (up: StoredTensor | undefined, down: StoredTensor | undefined) => {
    const one = up ?? down ?? Object.values(members).find((tensor) => tensor !== undefined);
    if (!up || !down) throw adapterInvalid(`${file} has "${one!.name}", but not both matrices of the pair.`);
    const [rank = 0] = down.shape;
    if (rank === 0) throw adapterInvalid(`${file} has "${down.name}" with the rank 0.`);
    check(down, [rank, columns]);
    check(up, [rows, rank]);
    return { rank, up: flat(named(up), [rows, rank]), down: flat(named(down), [rank, columns]) };
  };
  if (members.diff) {
    check(members.diff, [rows, columns]);
    return { form: { kind: 'full', tensor: flat(named(members.diff), [rows, columns]) }, rank: undefined };
  }
  if (members.left || members.leftUp || members.right || members.rightUp) {
    return kronecker(members, [rows, columns], context);
  }
  if (members.hadamardUp1 || members.hadamardDown1 || members.hadamardUp2 || members.hadamardDown2) {
    const { rank, ...first } = pair(members.hadamardUp1, members.hadamardDown1);
    const { rank: _, ...second } = pair(members.hadamardUp2, members.hadamardDown2);
    return { form: { kind: 'hadamard', pairs: [first, second] }, rank };
  }
  const { rank, up, down } = pair(members.up, members.down);
  return { form: { kind: 'low-rank', up, down }, rank };
}

/** lycoris, functional/lokr.py: ΔW = w1 ⊗ w2, [a, c] ⊗ [b, d] = [a b, c d]; each may be a product of two. */
function kronecker(
  members: LayerMembers,
  [rows, columns]: readonly [number, number],
  context: MembersContext,
): Form {
  const { file, named, name } = context;
  const factor = (
    whole: StoredTensor | undefined,
    up: StoredTensor | undefined,
    down: StoredTensor | undefined,
    what: string,
  ) => {
    const isPair = up && down && up.shape[1] === down.shape[0] && up.shape.length === 2;
    if (whole ? up || down || whole.shape.length !== 2 : !isPair) {
      throw adapterInvalid(
        `${file} has no whole "${what}" for "${name}", but LoKr needs it as one matrix or as two.`,
      );
    }
    const matrix: Matrix = whole ? { whole: named(whole) } : { up: named(up!), down: named(down!) };
    const [height = 0, width = 0] = [(whole ?? up)!.shape[0], (whole ?? down)!.shape[1]];
    return { matrix, height, width, rank: down?.shape[0] };
  };
  const left = factor(members.left, members.leftUp, members.leftDown, 'lokr_w1');
  const right = factor(members.right, members.rightUp, members.rightDown, 'lokr_w2');
  const [height, width] = [left.height * right.height, left.width * right.width];
  if (height !== rows || width !== columns) {
    throw adapterInvalid(
      `${file} has a LoKr of [${height}, ${width}] for "${name}", but [${rows}, ${columns}] fits.`,
    );
  }
  return {
    form: { kind: 'kronecker', left: left.matrix, right: right.matrix, from: 0 },
    // With two full matrices, alpha is ignored (lycoris, modules/lokr.py: "use scale = 1").
    rank: left.rank ?? right.rank,
  };
}

async function factorOf(
  alpha: StoredTensor | undefined,
  rank: number | undefined,
  { file, name, factorOf: otherwise, numbers }: MembersContext,
): Promise<number> {
  if (rank === undefined) return 1;
  if (!alpha) return otherwise(name.replace(/\.weight$/, ''), rank);
  if (elementCount(alpha.shape) !== 1) {
    throw adapterInvalid(
      `${file} has "${alpha.name}" with ${elementCount(alpha.shape)} numbers instead of one.`,
    );
  }
  const [value = 0] = await numbers(alpha);
  return value / rank;
}

/**
 * One number per row (PEFT, tuners/lora/dora.py; lycoris' `wd_on_out`), or per column as [1, K] (lycoris
 * otherwise).
 */
async function magnitudeOf(
  tensor: StoredTensor,
  rows: number,
  columns: number,
  { check, numbers }: MembersContext,
) {
  const isColumns =
    tensor.shape.length === 2 && tensor.shape[0] === 1 && tensor.shape[1] === columns && rows !== 1;
  if (!isColumns) check(tensor, [rows]);
  return { axis: isColumns ? 'columns' : 'rows', values: await numbers(tensor) } as const;
}

/** As a matrix: 1x1 convolution kernels have two more axes. */
function flat(tensor: StoredTensor, shape: readonly number[]): StoredTensor {
  return { ...tensor, shape };
}
