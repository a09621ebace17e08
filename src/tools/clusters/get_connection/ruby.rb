require "mysql2"

# MariaDB's client library, which the gem may be built with, checks the host's name from 3.4 on.
client = Mysql2::Client.new(
  host: "<HOST>",
  port: <PORT>,
  username: "<USER>",
  password: ENV["TIDB_PASSWORD"],
  database: "<DATABASE>",
  ssl_mode: :verify_identity,
  # Where it is nil, the gem finds the system's CAs.
  sslca: ENV["SSL_CERT_FILE"]
)
puts client.query("SELECT VERSION() AS version").first["version"]
