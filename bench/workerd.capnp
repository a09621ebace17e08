# The Worker as built and the two it is compared with, each for a workerd process of its own and without wrangler:
# `wrangler dev` adds a proxy and tracing that cost several times what either Worker does.
# Flags and bindings are those of wrangler.toml.
using Workerd = import "/workerd/workerd.capnp";

const ours :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "assets", disk = (path = "static")),
    (name = "storage", disk = (writable = true)),
    (name = "internet", network = (allow = ["public", "local"])),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);

const bare :Workerd.Config = (
  services = [(
    name = "main",
    worker = (
      modules = [(name = "bare.js", esModule = embed "bare.js")],
      compatibilityDate = "2026-10-01",
    ),
  )],
  sockets = [(name = "http", http = (), service = "main")],
);

const hop :Workerd.Config = (
  services = [
    (
      name = "main",
      worker = (
        modules = [(name = "hop.js", esModule = embed "hop.js")],
        compatibilityDate = "2026-10-01",
        bindings = [(name = "LIMITER", durableObjectNamespace = "Limiter")],
        durableObjectNamespaces = [(className = "Limiter", uniqueKey = "limiter", enableSql = true)],
        durableObjectStorage = (localDisk = "storage"),
      ),
    ),
    (name = "storage", disk = (writable = true)),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "index.js", esModule = embed "../build/index.js"),
    (name = "index_bg.wasm", wasm = embed "../build/index_bg.wasm"),
  ],
  compatibilityDate = "2026-10-01",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = [
    (name = "ASSETS", service = "assets"),
    (name = "RATE_LIMITER", durableObjectNamespace = "RateLimiter"),
    (name = "SECRET_KEEPER", durableObjectNamespace = "SecretKeeper"),
    (name = "AUTHORIZATION_STORE", durableObjectNamespace = "AuthorizationStore"),
    (name = "CIRCUIT_BREAKER", durableObjectNamespace = "CircuitBreaker"),
    (name = "WATCHER", durableObjectNamespace = "Watcher"),
    (name = "READINESS", durableObjectNamespace = "Readiness"),
    # One credential asks as often as the machine can: what a limit costs is measured, not what it refuses.
    (name = "CREDENTIAL_LIMIT_PER_MINUTE", text = "1000000"),
    (name = "TIDB_CLOUD_SANDBOX", fromEnvironment = "TIDB_CLOUD_SANDBOX"),
  ],
  durableObjectNamespaces = [
    (className = "RateLimiter", uniqueKey = "rate-limiter", enableSql = true),
    (className = "SecretKeeper", uniqueKey = "secret-keeper", enableSql = true),
    (className = "AuthorizationStore", uniqueKey = "authorization-store", enableSql = true),
    (className = "CircuitBreaker", uniqueKey = "circuit-breaker", enableSql = true),
    (className = "Watcher", uniqueKey = "watcher", enableSql = true),
    (className = "Readiness", uniqueKey = "readiness", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "storage"),
);
