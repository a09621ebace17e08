import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/mysql2';
import mysql from 'mysql2/promise';

const pool = mysql.createPool({
  host: '<HOST>',
  port: <PORT>,
  user: '<USER>',
  password: process.env.TIDB_PASSWORD,
  database: '<DATABASE>',
  // Without verifyIdentity, mysql2 takes the certificate of any host.
  ssl: { minVersion: 'TLSv1.2', rejectUnauthorized: true, verifyIdentity: true },
});
const db = drizzle({ client: pool });
const [rows] = await db.execute(sql`SELECT VERSION() AS version`);
console.log(rows[0].version);
await pool.end();
