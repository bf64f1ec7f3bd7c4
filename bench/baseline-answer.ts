/** What both baselines answer, whatever they are asked. */
export const constantAnswer = {
  prediction: 28.40788321947394,
  prediction_id: '01a20468-250c-73dd-882d-938c56d04b90',
};

/** Says where the baseline listens, as the service says it in its log. */
export function announce(port: number): void {
  process.stdout.write(`${JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` })}\n`);
}
