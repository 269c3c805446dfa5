/** Reads what the stand-ins wrote. */

export interface StageTrace {
  /** `loading`, `encoding`, `step 1`, ... */
  readonly stage: string;
  /** The most memory of the GPU that was taken in it, in bytes; what was taken before counts. */
  readonly peak: number;
  /** How often each kernel and product was launched, the most often first. */
  readonly kernels: ReadonlyMap<string, number>;
  /** Copies between main memory and the GPU: in it, out of it. A node on the CPU shows as more of them. */
  readonly copies: { readonly in: number; readonly out: number };
}

export function readTrace(log: string): StageTrace[] {
  const stages: {
    stage: string;
    peak: number;
    kernels: Map<string, number>;
    copies: { in: number; out: number };
  }[] = [];
  let taken = 0;
  for (const line of log.split('\n')) {
    const [, event, rest = ''] = /^(\w+) (.*)$/.exec(line) ?? [];
    if (event === 'stage') {
      stages.push({ stage: rest, peak: taken, kernels: new Map(), copies: { in: 0, out: 0 } });
    }
    const last = stages.at(-1);
    if (event === 'memory') taken = Number(rest);
    if (!last) continue;
    last.peak = Math.max(last.peak, taken);
    if (event === 'kernel' || event === 'product' || event === 'products') {
      const name = event === 'kernel' ? shortName(rest) : `${event} ${rest}`;
      last.kernels.set(name, (last.kernels.get(name) ?? 0) + 1);
    }
    // Of cudaMemcpyKind; 3 is from one place of the GPU to another.
    if (event === 'copy' && rest.startsWith('1 ')) last.copies.in++;
    if (event === 'copy' && rest.startsWith('2 ')) last.copies.out++;
  }
  return stages.map((stage) => ({
    ...stage,
    kernels: new Map([...stage.kernels].sort(([, a], [, b]) => b - a)),
  }));
}

/** Of a mangled name, its identifiers: `flash_fwd_kernel bfloat16_t`. */
function shortName(mangled: string): string {
  if (!mangled.startsWith('_Z')) return mangled;
  const words: string[] = [];
  for (let at = 0; at < mangled.length; ) {
    const digits = /^\d+/.exec(mangled.slice(at))?.[0];
    const length = Number(digits ?? 0);
    const word = mangled.slice(at + (digits?.length ?? 0), at + (digits?.length ?? 0) + length);
    const isWord = digits !== undefined && word.length === length && /^[A-Za-z_]\w*$/.test(word);
    if (isWord) words.push(word);
    at += isWord ? digits.length + length : 1;
  }
  const common = new Set(['onnxruntime', 'cuda', 'contrib', 'cutlass', 'flash']);
  return [...new Set(words.filter((word) => !common.has(word)))].slice(0, 4).join(' ');
}
