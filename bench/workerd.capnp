# The two that the Worker is compared with, each for a workerd process of its own and without wrangler: `wrangler dev` adds a proxy and
# tracing that cost several times what either does. The Worker's own configuration is made from wrangler.toml (xtask/src/workerd.rs).
using Workerd = import "/workerd/workerd.capnp";

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
