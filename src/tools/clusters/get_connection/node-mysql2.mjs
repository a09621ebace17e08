import mysql from 'mysql2/promise';

const connection = await mysql.createConnection({
  host: '<HOST>',
  port: <PORT>,
  user: '<USER>',
  password: process.env.TIDB_PASSWORD,
  database: '<DATABASE>',
  // Without verifyIdentity, mysql2 takes the certificate of any host.
  ssl: { minVersion: 'TLSv1.2', rejectUnauthorized: true, verifyIdentity: true },
});
const [rows] = await connection.query('SELECT VERSION() AS version');
console.log(rows[0].version);
await connection.end();
