import { PrismaMariaDb } from '@prisma/adapter-mariadb';
import { PrismaClient } from './generated/client.ts';

const adapter = new PrismaMariaDb({
  host: '<HOST>',
  port: <PORT>,
  user: '<USER>',
  password: process.env.TIDB_PASSWORD,
  database: '<DATABASE>',
  ssl: { minVersion: 'TLSv1.2', rejectUnauthorized: true },
});
const prisma = new PrismaClient({ adapter });
const rows = await prisma.$queryRaw<{ version: string }[]>`SELECT VERSION() AS version`;
console.log(rows[0].version);
await prisma.$disconnect();
