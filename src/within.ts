/** A limit to waiting. What is waited for goes on; its later result is ignored. */

/** The promise's result, or after `milliseconds` what `late` gives or throws. */
export async function within<Result>(
  milliseconds: number,
  promise: Promise<Result>,
  late: () => Result,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    return await Promise.race([promise, over.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}
