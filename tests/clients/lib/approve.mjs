// For tests in other languages: a person at the page of the address that is given, who allows what is asked for.

import { approve } from './browser.mjs';

const { clicks, fields } = await approve(process.argv[2]);
console.log(JSON.stringify({ clicks, fields }));
