import { connect } from '@tidbcloud/serverless';

// Over HTTPS, so there is neither a port nor anything to set for TLS.
const db = connect({
  host: '<HOST>',
  username: '<USER>',
  password: process.env.TIDB_PASSWORD,
  database: '<DATABASE>',
});
const rows = await db.execute('SELECT VERSION() AS version');
console.log(rows[0].version);
