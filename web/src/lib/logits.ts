// One sample through every stage, as the server computes it: the page does it again while a slider moves.

export interface Stages {
  zOverT: number[];
  softmax: number[];
  logSoftmax: number[];
  nll: number; // −log p of the label
  gradient: number[]; // of the NLL with respect to z: (p − y)/T
  argmax: number;
}

// z [K] → its stages at a temperature above 0. A masked class has a logit of −Infinity: p and gradient exactly 0. A sample
// without a label (−100) has no NLL, and its gradient is 0.
export function stages(z: number[], label: number, temperature: number): Stages {
  const zOverT = z.map((v) => v / temperature);
  const largest = Math.max(...zOverT);
  const exps = zOverT.map((v) => Math.exp(v - largest));
  const sum = exps.reduce((a, b) => a + b, 0);
  const softmax = exps.map((e) => e / sum);
  const logSoftmax = zOverT.map((v) => v - largest - Math.log(sum));
  return {
    zOverT,
    softmax,
    logSoftmax,
    nll: -(logSoftmax[label] ?? NaN),
    gradient: softmax.map((p, j) => (label < 0 ? 0 : (p - (j === label ? 1 : 0)) / temperature)),
    argmax: zOverT.indexOf(largest),
  };
}
