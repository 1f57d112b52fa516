//! Balance and transfers.
//!
//! Invariant: a transfer is repeated only under the id it was first made with.

use crate::{Client, ClientError};
use hivemind_model::Cpt;
use hivemind_model::units::MICRO_PER_CPT;
use hivemind_proto::v1::token_service_client::TokenServiceClient;
use hivemind_proto::v1::{BalanceRequest, TransferRequest};
use tonic::transport::Channel;
use uuid::Uuid;

/// What a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent.
    pub available: Cpt,
    /// Set aside for open tasks.
    pub held: Cpt,
}

impl Client {
    /// What the user has.
    ///
    /// # Errors
    /// [`ClientError::Login`] where the token is not valid.
    pub async fn balance(&self) -> Result<Balance, ClientError> {
        let what = "Balance";
        let answer =
            self.repeated(what, async || self.tokens().balance(self.request(BalanceRequest::default())).await).await?;
        if !answer.success {
            return Err(ClientError::refused(what, &answer.message));
        }
        Ok(Balance { available: Cpt::from_micro(answer.balance_micro), held: Cpt::from_micro(answer.held_micro) })
    }

    /// Moves money to another user and gives what is left. `transfer_id` makes a retry by the
    /// caller harmless; empty: one is made, and only this call's own retries are.
    ///
    /// # Errors
    /// The refusal, such as `E_INSUFFICIENT_CPT`.
    pub async fn transfer(&self, to_username: &str, amount: Cpt, transfer_id: &str) -> Result<Cpt, ClientError> {
        let id = if transfer_id.is_empty() { Uuid::now_v7().to_string() } else { transfer_id.to_owned() };
        let request = TransferRequest {
            token: String::new(),
            to_username: to_username.to_owned(),
            amount: amount.whole(),
            transfer_id: id,
            amount_micro: amount.micro().rem_euclid(MICRO_PER_CPT),
        };
        let what = "Transfer";
        let answer = self.repeated(what, async || self.tokens().transfer(self.request(request.clone())).await).await?;
        if answer.success {
            Ok(Cpt::from_micro(answer.new_balance_micro))
        } else {
            Err(ClientError::refused(what, &answer.message))
        }
    }

    fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }
}
