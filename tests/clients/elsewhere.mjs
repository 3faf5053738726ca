// Listens from pages of two origins, in a browser without a window: elsewhere.mjs URL TOKEN SCRIPT ALLOWED FOREIGN.
//
// Prints on standard error what each page receives.
import { accessSync, constants, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, token, script, allowed, foreign] = process.argv.slice(2);

const places = (process.env.PATH ?? '').split(':').map(folder => join(folder, 'chromium'));
const executablePath = places.find(place => {
  try { accessSync(place, constants.X_OK); return true; } catch { return false; }
});
if (!executablePath) throw new Error('chromium is needed for this test: scripts/test installs it');

const servers = [];
// Connects to the bridge only; as root without a sandbox.
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(30_000);
  const listen = async origin => {
    const page = await context.newPage();
    const server = createServer((_, reply) => reply.setHeader('Content-Type', 'text/html').end('<!doctype html>'));
    await new Promise(done => server.listen(Number(new URL(origin).port), '127.0.0.1', done));
    servers.push(server);
    await page.exposeFunction('tell', line => console.error(`${origin} ${line}`));
    await page.goto(`${origin}/`);
    await page.addScriptTag({ content: readFileSync(script, 'utf8') });
    return page.evaluate(([url, token]) => new Promise(done => {
      const receive = (name, data) => { window.tell(`${name} ${data.payload}`).then(done); };
      const tell = error => { window.tell(error ? `error ${error.name}` : 'open').then(() => error && done()); };
      window.listen(url, { token, receive, tell });
    }), [url, token]);
  };
  await Promise.all([listen(allowed), listen(foreign)]);
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
  servers.forEach(server => server.close());
}
