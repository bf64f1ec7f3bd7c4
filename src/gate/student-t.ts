/** Student's t distribution, to the last digits also far out in its tails. */
import betainc from '@stdlib/math-base-special-betainc';

/**
 * P(T > t) with so many degrees of freedom, by the regularised incomplete beta function: of |t| it is half of
 * I_x(df / 2, 1 / 2) at x = df / (df + t^2). https://dlmf.nist.gov/8.17
 */
export function upperTailOfT(t: number, degreesOfFreedom: number): number {
  const beyond = betainc(degreesOfFreedom / (degreesOfFreedom + t * t), degreesOfFreedom / 2, 0.5) / 2;
  return t > 0 ? beyond : 1 - beyond;
}
