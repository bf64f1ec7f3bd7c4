/** What the baselines share: their constant answer, and the line that says where they listen, as the service's log does. */
import type { AddressInfo, Server } from 'node:net';

export const constantAnswer = {
  prediction: 28.40788321947394,
  prediction_id: '01a20468-250c-73dd-882d-938c56d04b90',
};

export function announce(server: Server): void {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` })}\n`);
  process.once('SIGTERM', () => process.exit(0));
}
