// Prints on standard error what an EventSource receives from a URL.
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2]);
const tell = (line) => process.stderr.write(`${line}\n`);

source.onopen = () => tell('open');
source.onerror = (error) => tell(`error ${error.code ?? ''} ${error.message ?? ''}`);
source.onmessage = (message) => tell(`message ${message.data}`);
source.addEventListener('lagged', (message) => tell(`lagged ${message.data}`));
