//! The Durable Object that makes the server secret once and keeps it, for deployments that set none.

use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use super::port::random_hex;

const SECRET: &str = "secret";

/// One object per deployment.
#[durable_object(fetch)]
pub struct SecretKeeper {
    state: State,
}

impl DurableObject for SecretKeeper {
    fn new(state: State, _env: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, _request: Request) -> Result<Response> {
        let storage = self.state.storage();
        // Input gates hold other requests back between the read and the write.
        let secret = match storage.get::<String>(SECRET).await? {
            Some(secret) => secret,
            None => {
                let secret = random_hex();
                storage.put(SECRET, &secret).await?;
                secret
            }
        };
        Response::ok(secret)
    }
}
