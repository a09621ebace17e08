-- Statements of unit tests of what reads definitions and plans: TiDB release 8.5 answered them on an empty server.
-- name: make.1
DROP DATABASE IF EXISTS scratch
-- name: make.2
CREATE DATABASE scratch
-- name: make.3
-- database: scratch
CREATE TABLE hot (id BIGINT AUTO_RANDOM PRIMARY KEY, v VARCHAR(20) COMMENT 'it''s; a "comment" (with parens) and /*T![x] y */', KEY iv (v(5)))
-- name: make.4
-- database: scratch
CREATE TABLE nc (id BIGINT AUTO_INCREMENT, v INT UNSIGNED ZEROFILL, PRIMARY KEY (id) NONCLUSTERED, UNIQUE KEY uv (v)) SHARD_ROW_ID_BITS = 4 PRE_SPLIT_REGIONS = 2 AUTO_ID_CACHE 1
-- name: make.5
-- database: scratch
INSERT INTO nc (v) VALUES (1),(2)
-- name: make.6
-- database: scratch
CREATE TABLE child (id INT PRIMARY KEY, parent BIGINT, CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES hot (id) ON DELETE CASCADE)
-- name: make.7
-- database: scratch
CREATE TABLE chk (id INT PRIMARY KEY, age INT CHECK (age > 0), b TINYINT(1) NOT NULL DEFAULT 0, e ENUM('a','b;''c') DEFAULT 'a', ts TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), bits BIT(3), j JSON DEFAULT (JSON_OBJECT()))
-- name: make.8
-- database: scratch
CREATE TABLE gen (id INT PRIMARY KEY, j JSON, name VARCHAR(50) AS (j->>'$.name') STORED, up VARCHAR(50) GENERATED ALWAYS AS (UPPER(name)) VIRTUAL, KEY idx_name (name), KEY idx_expr ((LOWER(name))))
-- name: make.9
-- database: scratch
ALTER TABLE gen ALTER INDEX idx_name INVISIBLE
-- name: make.10
-- database: scratch
CREATE TABLE part (id INT, at DATE, PRIMARY KEY (id, at)) PARTITION BY RANGE COLUMNS (at) (PARTITION p2025 VALUES LESS THAN ('2026-01-01'), PARTITION p2026 VALUES LESS THAN ('2027-01-01'))
-- name: make.11
-- database: scratch
CREATE TABLE hashed (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 4
-- name: make.12
-- database: scratch
CREATE TABLE ttl (id INT PRIMARY KEY, at DATETIME) TTL = at + INTERVAL 3 MONTH TTL_ENABLE='OFF'
-- name: make.13
-- database: scratch
CREATE TABLE vec (id INT PRIMARY KEY, e VECTOR(3) COMMENT 'hnsw')
-- name: make.14
-- database: scratch
CREATE TABLE ft (id INT PRIMARY KEY, body TEXT, FULLTEXT KEY fb (body))
-- name: make.15
-- database: scratch
CREATE TABLE latin (a VARCHAR(5) CHARACTER SET latin1, b VARCHAR(5) COLLATE utf8mb4_general_ci, c VARCHAR(5)) COLLATE utf8mb4_bin COMMENT 'tbl'
-- name: make.16
-- database: scratch
CREATE TABLE gci (a VARCHAR(5), c VARCHAR(5) COLLATE utf8mb4_bin) COLLATE utf8mb4_general_ci
-- name: make.17
-- database: scratch
CREATE TABLE `od``d (x) "q" 'y'` (`we``ird, col` INT, `select` INT, KEY `k``1` (`we``ird, col`))
-- name: make.18
-- database: scratch
CREATE TABLE cached (a INT)
-- name: make.19
-- database: scratch
ALTER TABLE cached CACHE
-- name: make.20
-- database: scratch
CREATE VIEW vw AS SELECT id, at FROM part WHERE id > 0
-- name: make.21
-- database: scratch
CREATE SEQUENCE sq START 5
-- name: make.22
-- database: scratch
CREATE TABLE `MiXed` (A int)
-- name: make.23
-- database: scratch
CREATE GLOBAL TEMPORARY TABLE gt (a INT) ON COMMIT DELETE ROWS
-- name: make.24
-- database: scratch
CREATE VIEW hinted AS SELECT /*+ USE_INDEX(nc, uv) */ v FROM nc WHERE 'a' COLLATE utf8mb4_bin = 'A'
-- name: make.25
-- database: scratch
CREATE TABLE lists (a ENUM('x\\','y'), b INT COMMENT 'it\\''s', c SET('q''','r\\'))
-- name: make.26
-- database: scratch
CREATE TABLE `an"si` (`a"b` INT COMMENT 'x"y', KEY k (`a"b`))
-- name: show.hot
-- database: scratch
SHOW CREATE TABLE hot
-- name: show.nc
-- database: scratch
SHOW CREATE TABLE nc
-- name: show.child
-- database: scratch
SHOW CREATE TABLE child
-- name: show.chk
-- database: scratch
SHOW CREATE TABLE chk
-- name: show.gen
-- database: scratch
SHOW CREATE TABLE gen
-- name: show.part
-- database: scratch
SHOW CREATE TABLE part
-- name: show.hashed
-- database: scratch
SHOW CREATE TABLE hashed
-- name: show.ttl
-- database: scratch
SHOW CREATE TABLE ttl
-- name: show.vec
-- database: scratch
SHOW CREATE TABLE vec
-- name: show.ft
-- database: scratch
SHOW CREATE TABLE ft
-- name: show.latin
-- database: scratch
SHOW CREATE TABLE latin
-- name: show.gci
-- database: scratch
SHOW CREATE TABLE gci
-- name: show.odd
-- database: scratch
SHOW CREATE TABLE `od``d (x) "q" 'y'`
-- name: show.cached
-- database: scratch
SHOW CREATE TABLE cached
-- name: show.vw
-- database: scratch
SHOW CREATE TABLE vw
-- name: show.sq
-- database: scratch
SHOW CREATE TABLE sq
-- name: show.sequence
-- database: scratch
SHOW CREATE SEQUENCE sq
-- name: show.mixed
-- database: scratch
SHOW CREATE TABLE mixed
-- name: show.gt
-- database: scratch
SHOW CREATE TABLE gt
-- name: show.hinted
-- database: scratch
SHOW CREATE TABLE hinted
-- name: show.lists
-- database: scratch
SHOW CREATE TABLE lists
-- session ansi
-- name: mode.ansi
SET sql_mode = 'ANSI_QUOTES'
-- name: show.ansi
-- database: scratch
SHOW CREATE TABLE `an"si`
-- end
-- name: make.plan.1
-- database: scratch
CREATE TABLE p (id INT PRIMARY KEY, name VARCHAR(20))
-- name: make.plan.2
-- database: scratch
CREATE TABLE c (id INT PRIMARY KEY, pid INT, v INT)
-- name: make.plan.3
DROP DATABASE IF EXISTS `scra-tch`
-- name: make.plan.4
CREATE DATABASE `scra-tch`
-- name: make.plan.5
-- database: scra-tch
CREATE TABLE `or-ders` (id INT PRIMARY KEY, `cust-id` INT)
-- name: make.plan.6
-- database: scra-tch
CREATE TABLE custs (id INT, name VARCHAR(20))
-- name: plan.nullable_join
-- database: scratch
EXPLAIN FORMAT = 'brief' SELECT * FROM p JOIN c ON c.pid = p.id WHERE p.name = 'x'
-- name: plan.hyphen
-- database: scra-tch
EXPLAIN FORMAT = 'brief' SELECT * FROM `or-ders` WHERE `cust-id` = 5
-- name: plan.hyphen_join
-- database: scra-tch
EXPLAIN FORMAT = 'brief' SELECT * FROM `or-ders` o JOIN custs ON o.`cust-id` = custs.id
-- name: plan.unequal
-- database: scratch
EXPLAIN FORMAT = 'brief' SELECT * FROM c WHERE pid = 5 AND v <> 3
-- name: plan.either
-- database: scratch
EXPLAIN FORMAT = 'brief' SELECT * FROM c WHERE v < 3 OR v > 5
-- name: plan.not_null
-- database: scratch
EXPLAIN FORMAT = 'brief' SELECT * FROM c WHERE pid IS NOT NULL
-- name: drop.plan
DROP DATABASE `scra-tch`
-- name: drop
DROP DATABASE scratch
