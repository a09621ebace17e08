-- What is sent around statements that change something.

-- name: execute_key
SHOW COLUMNS FROM shop.orders WHERE `Key` = 'PRI'
-- name: execute_key_of_two_columns
-- database: shop
SHOW COLUMNS FROM order_items WHERE `Key` = 'PRI'
-- name: execute_no_key
-- database: shop
SHOW COLUMNS FROM event_log WHERE `Key` = 'PRI'
-- name: execute_key_of_no_table
-- database: shop
SHOW COLUMNS FROM nowhere WHERE `Key` = 'PRI'
-- session dry_run_update
-- name: dry_run_begin
-- database: shop
BEGIN
-- name: dry_run_before
-- database: shop
SELECT * FROM products WHERE id IN (1, 2) ORDER BY `id` LIMIT 5 FOR UPDATE
-- name: dry_run_update
-- database: shop
UPDATE products SET price = 7 WHERE id IN (1, 2)
-- name: dry_run_warnings_none
-- database: shop
SHOW WARNINGS
-- name: dry_run_after
-- database: shop
SELECT * FROM products WHERE (`id`) IN ((1), (2)) ORDER BY `id` FOR UPDATE
-- name: dry_run_update_again
-- database: shop
UPDATE products SET price = 7 WHERE id IN (1, 2)
-- name: dry_run_key_of_two
-- database: shop
SELECT * FROM order_items WHERE (`order_id`, `line`) IN ((1, 1), (2, 1)) ORDER BY `order_id`, `line` FOR UPDATE
-- name: dry_run_rollback
-- database: shop
ROLLBACK
-- end
-- name: dry_run_proof
-- database: shop
SELECT * FROM products WHERE (`id`) IN ((1), (2)) ORDER BY `id`
-- session dry_run_insert
-- name: dry_run_insert_begin
-- database: shop
BEGIN
-- name: dry_run_insert
-- database: shop
INSERT INTO customers (email, name, country, created_at) VALUES ('a@example.com', 'A', 'DE', '2026-01-01'), ('b@example.com', 'B', 'DE', '2026-01-01')
-- name: dry_run_inserted
-- database: shop
SELECT id, email FROM customers WHERE `id` BETWEEN 30911 AND 30912 ORDER BY `id` FOR UPDATE
-- name: dry_run_insert_ignore
-- database: shop
INSERT IGNORE INTO customers (id, email, name, country, created_at) VALUES (1, 'c@example.com', 'C', 'DE', '2026-01-01'), (6000, 'd@example.com', 'D', 'DE', '2026-01-01')
-- name: dry_run_insert_ignore_warnings
-- database: shop
SHOW WARNINGS
-- name: dry_run_duplicate_unchanged
-- database: shop
INSERT INTO products (id, sku, name, category, price) VALUES (3, 'x', 'x', 'x', 1) ON DUPLICATE KEY UPDATE name = 'Product 3'
-- name: dry_run_duplicate_changed
-- database: shop
INSERT INTO products (id, sku, name, category, price) VALUES (3, 'x', 'x', 'x', 1) ON DUPLICATE KEY UPDATE name = 'Other'
-- name: dry_run_replace_same
-- database: shop
REPLACE INTO products SELECT * FROM products WHERE id = 4
-- name: dry_run_replace_changed
-- database: shop
REPLACE INTO products (id, sku, name, category, price) VALUES (1, 'SKU-NEW', 'x', 'y', 1)
-- name: dry_run_insert_rollback
-- database: shop
ROLLBACK
-- end
-- name: dry_run_number_is_used_up
-- database: shop
INSERT INTO customers (email, name, country, created_at) VALUES ('e@example.com', 'E', 'DE', '2026-01-01')
-- name: dry_run_number_removed
-- database: shop
DELETE FROM customers WHERE email = 'e@example.com'
