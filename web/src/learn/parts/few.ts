// Up to so many classes each has a column of its own in the document; more are drawn on a canvas.
export const few = 10;

// largest are the n classes with the largest values, the lower class first on a tie, in one pass: it is asked at every move of a drag.
export function largest(values: readonly number[], n: number): number[] {
  const top: number[] = [];
  values.forEach((v, j) => {
    if (top.length === n && !(v > values[top[n - 1]!]!)) return;
    let at = top.length;
    while (at > 0 && v > values[top[at - 1]!]!) at--;
    top.splice(at, 0, j);
    if (top.length > n) top.pop();
  });
  return top;
}
