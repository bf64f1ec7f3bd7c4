/** node:http alone. It parses the JSON that it is sent and answers a constant. */
import { createServer } from 'node:http';
import { announce, constantAnswer } from './announce.ts';

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (text: string) => {
    body += text;
  });
  request.on('end', () => {
    JSON.parse(body);
    const text = JSON.stringify(constantAnswer);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  });
});
server.listen(0, '127.0.0.1', () => announce(server));
