-- What the guard before expensive statements sends: plans, and row counts where statistics are missing. The table `shop.visits (id
-- BIGINT PRIMARY KEY, page VARCHAR(40) NOT NULL)` has 1,600,000 rows and was never analyzed; `shop.drafts (id INT PRIMARY KEY)` was made
-- just before, so that TiDB has counted none of its rows yet.

-- name: guard_product
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ COUNT(*) FROM shop.products a, shop.products b

-- name: guard_one_row_beside
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ COUNT(*) FROM shop.customers, (SELECT COUNT(*) AS n FROM shop.orders) x

-- name: guard_recursive
EXPLAIN FORMAT = 'brief' WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ MAX(i) FROM n

-- name: guard_full_scan
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ COUNT(*) FROM shop.customers WHERE country = 'FR'

-- name: guard_by_key
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ name FROM shop.customers WHERE id = 5001

-- name: guard_by_key_of_text
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ name FROM shop.customers WHERE email = 5

-- name: guard_constant_subquery
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ id FROM shop.orders WHERE id = (SELECT MAX(id) FROM shop.orders)

-- name: guard_join_by_status
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ COUNT(*) FROM shop.orders a JOIN shop.orders b ON a.status = b.status

-- name: guard_parenthesized_union
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM ((SELECT id FROM shop.products WHERE id < 3) UNION (SELECT id FROM shop.customers WHERE id < 3)) AS whole_statement ORDER BY id

-- name: guard_no_statistics
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ COUNT(*) FROM shop.visits v WHERE v.page = '/7'

-- name: guard_no_statistics_count
SHOW STATS_META WHERE LOWER(Db_name) IN ('shop') AND LOWER(Table_name) IN ('visits')

-- name: guard_heavy_update
EXPLAIN FORMAT = 'brief' UPDATE /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ shop.visits SET page = '/' WHERE page = '/7'

-- name: guard_no_count
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ COUNT(*) FROM shop.drafts

-- name: guard_no_count_count
SHOW STATS_META WHERE LOWER(Db_name) IN ('shop') AND LOWER(Table_name) IN ('drafts')

-- name: guard_delete_all
EXPLAIN FORMAT = 'brief' DELETE /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ FROM shop.orders
