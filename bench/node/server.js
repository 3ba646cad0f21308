// The server of node-coap, as its README writes it: node server.js PORT
require('coap').createServer((req, res) => res.end('0123456789')).listen(Number(process.argv[2]), '127.0.0.1')
process.stdin.on('end', () => process.exit(0)).resume()
