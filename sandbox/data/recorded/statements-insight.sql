-- What db_describe and db_explain send by themselves, about the sample data. `stats_meta` of the first file is one of them.
-- name: insight.replicas
SELECT TABLE_NAME, REPLICA_COUNT, AVAILABLE, PROGRESS FROM information_schema.TIFLASH_REPLICA WHERE TABLE_SCHEMA = 'shop'
-- name: insight.slow
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM orders WHERE customer_id = 42 ORDER BY placed_at DESC LIMIT 10
-- name: insight.slow_analyze
-- database: shop
EXPLAIN ANALYZE FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM orders WHERE customer_id = 42 ORDER BY placed_at DESC LIMIT 10
-- name: insight.slow_idx_customer_id_placed_at
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.orders, idx_customer_id_placed_at, customer_id, placed_at) */ * FROM orders WHERE customer_id = 42 ORDER BY placed_at DESC LIMIT 10
-- name: insight.slow_idx_customer_id
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.orders, idx_customer_id, customer_id) */ * FROM orders WHERE customer_id = 42 ORDER BY placed_at DESC LIMIT 10
-- name: insight.function
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ COUNT(*) FROM orders WHERE DATE(placed_at) = '2026-02-01'
-- name: insight.converted
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM customers WHERE email = 5
-- name: insight.wildcard
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM customers WHERE name LIKE '%7'
-- name: insight.range
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM customers WHERE name LIKE 'Customer 7%'
-- name: insight.range_idx_name
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.customers, idx_name, name) */ * FROM customers WHERE name LIKE 'Customer 7%'
-- name: insight.unselective
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM orders WHERE placed_at > '2020-01-01'
-- name: insight.either
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM orders WHERE customer_id = 42 OR status = 'new'
-- name: insight.everything
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM event_log
-- name: insight.sorted
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ id, total FROM orders ORDER BY total DESC LIMIT 5
-- name: insight.sorted_idx_total
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.orders, idx_total, total) */ id, total FROM orders ORDER BY total DESC LIMIT 5
-- name: insight.join
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.email = 'customer7@example.com'
-- name: insight.join_idx_customer_id
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.orders, idx_customer_id, customer_id) */ c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.email = 'customer7@example.com'
-- name: insight.point
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM orders WHERE id = 42
-- name: insight.subquery
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM orders WHERE id = (SELECT MAX(id) FROM orders WHERE customer_id = 42)
-- name: insight.subquery_idx_customer_id
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.orders, idx_customer_id, customer_id) */ * FROM orders WHERE id = (SELECT MAX(id) FROM orders WHERE customer_id = 42)
-- name: insight.change
-- database: shop
EXPLAIN FORMAT = 'brief' UPDATE /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ orders SET note = 'gift' WHERE customer_id = 42
-- name: insight.change_idx_customer_id
-- database: shop
EXPLAIN FORMAT = 'brief' UPDATE /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.orders, idx_customer_id, customer_id) */ orders SET note = 'gift' WHERE customer_id = 42
-- name: insight.unhelpful
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) */ * FROM orders WHERE status = 'paid'
-- name: insight.unhelpful_idx_status
-- database: shop
EXPLAIN FORMAT = 'brief' SELECT /*+ SET_VAR(tidb_opt_enable_non_eval_scalar_subquery=1) HYPO_INDEX(shop.orders, idx_status, status) */ * FROM orders WHERE status = 'paid'
-- name: insight.stats_meta
SHOW STATS_META WHERE LOWER(Db_name) IN ('shop')
