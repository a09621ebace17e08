//! The server secrets: those that are set, and the one that the deployment generated.

use super::{App, mcp::doors::credentials::Credential};
use crate::{base::secret::Secret, port::StorageFailure, store::seal::Keyring};

impl App<'_> {
    /// The secrets that a credential may have been made with. Only tokens are made by this server, so no other credential
    /// waits for storage if a secret is set.
    pub(super) async fn keyring_for(&self, credential: &Credential) -> Result<Keyring, StorageFailure> {
        match credential {
            Credential::Token(_) => self.keyring().await,
            Credential::Keys(_) | Credential::Owner => {
                Ok(Keyring::new(self.secret().await?, self.config.previous_secret.iter().cloned()))
            }
        }
    }

    /// All server secrets: the current one, the previous one, and the one that the deployment generated.
    pub(super) async fn keyring(&self) -> Result<Keyring, StorageFailure> {
        let kept = self.kept_secret().await?;
        Ok(match &self.config.secret {
            Some(secret) => Keyring::new(secret.clone(), self.config.previous_secret.iter().cloned().chain([kept])),
            None => Keyring::new(kept, self.config.previous_secret.iter().cloned()),
        })
    }

    /// The server secret: the one that is set, or else the one that the deployment generated.
    pub(super) async fn secret(&self) -> Result<Secret, StorageFailure> {
        if let Some(secret) = &self.config.secret {
            return Ok(secret.clone());
        }
        self.kept_secret().await
    }

    async fn kept_secret(&self) -> Result<Secret, StorageFailure> {
        let remembered = self.isolate.secret.borrow().clone();
        if let Some(secret) = remembered {
            return Ok(secret);
        }
        let secret = self.port().store.kept_secret().await?;
        *self.isolate.secret.borrow_mut() = Some(secret.clone());
        Ok(secret)
    }
}
