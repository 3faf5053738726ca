// Prints the signature of a body as GitHub's documentation makes it with Node: secret, body.
import * as crypto from 'node:crypto';

const [secret, body] = process.argv.slice(2);
console.log(`X-Hub-Signature-256: sha256=${crypto.createHmac('sha256', secret).update(body).digest('hex')}`);
