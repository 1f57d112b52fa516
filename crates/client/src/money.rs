//! Balance and transfers.
//!
//! Invariant: a transfer is repeated only under the id it was first made with.

use crate::client::MAX_MESSAGE_BYTES;
use crate::{Client, ClientError};
use hivemind_model::Cpt;
use hivemind_model::units::MICRO_PER_CPT;
use hivemind_proto::v1::token_service_client::TokenServiceClient;
use hivemind_proto::v1::{BalanceRequest, TransferManyRequest, TransferRequest, TransferResponse};
use tonic::transport::Channel;
use uuid::Uuid;

/// Most transfers in one message.
const MAX_BATCH: usize = 10_000;

/// What a user has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent on tasks, free credit included.
    pub available: Cpt,
    /// The part of it that is free credit.
    pub promo: Cpt,
    /// The part of it that can be given to others.
    pub transferable: Cpt,
    /// Set aside for open tasks.
    pub held: Cpt,
    /// Earned by attempts that still run on the user's nodes.
    pub pending: Cpt,
    /// Earned, and to be spent later.
    pub vesting: Cpt,
}

/// One of many transfers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Who gets it.
    pub to_username: String,
    /// How much.
    pub amount: Cpt,
    /// Makes a retry by the caller harmless; empty: one is made.
    pub id: String,
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
        Ok(Balance {
            available: Cpt::from_micro(answer.balance_micro),
            promo: Cpt::from_micro(answer.promo_micro),
            transferable: Cpt::from_micro(answer.transferable_micro),
            held: Cpt::from_micro(answer.held_micro),
            pending: Cpt::from_micro(answer.pending_micro),
            vesting: Cpt::from_micro(answer.vesting_micro),
        })
    }

    /// Moves money to another user and gives what is left. `transfer_id` makes a retry by the
    /// caller harmless; empty: one is made, and only this call's own retries are.
    ///
    /// # Errors
    /// The refusal, such as `E_INSUFFICIENT_CPT`.
    pub async fn transfer(&self, to_username: &str, amount: Cpt, transfer_id: &str) -> Result<Cpt, ClientError> {
        let request = request(to_username, amount, transfer_id);
        let what = "Transfer";
        let answer = self.repeated(what, async || self.tokens().transfer(self.request(request.clone())).await).await?;
        new_balance(what, &answer)
    }

    /// Makes many transfers, in order, in as few messages as possible; each has its own answer:
    /// what was left after it.
    pub async fn transfer_many(&self, transfers: &[Transfer]) -> Vec<Result<Cpt, ClientError>> {
        let mut answers = Vec::with_capacity(transfers.len());
        for batch in transfers.chunks(MAX_BATCH) {
            answers.extend(self.transfer_batch(batch).await);
        }
        answers
    }

    async fn transfer_batch(&self, batch: &[Transfer]) -> Vec<Result<Cpt, ClientError>> {
        let what = "TransferMany";
        let expected = batch.len();
        let transfers = batch.iter().map(|one| request(&one.to_username, one.amount, &one.id)).collect();
        let request = TransferManyRequest { token: String::new(), transfers };
        let answered =
            self.repeated(what, async || self.tokens().transfer_many(self.request(request.clone())).await).await;
        match answered {
            Ok(answer) if answer.transfers.len() == expected => {
                answer.transfers.iter().map(|one| new_balance(what, one)).collect()
            }
            Ok(answer) => {
                let got = answer.transfers.len();
                vec![Err(ClientError::protocol(what, format!("{got} answers to {expected} transfers"))); expected]
            }
            Err(error) => vec![Err(error); expected],
        }
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

fn request(to_username: &str, amount: Cpt, id: &str) -> TransferRequest {
    TransferRequest {
        token: String::new(),
        to_username: to_username.to_owned(),
        amount: amount.whole(),
        transfer_id: id_or_new(id),
        amount_micro: amount.micro().rem_euclid(MICRO_PER_CPT),
    }
}

/// The caller's id, or a new one, so that no money moves without one.
pub(crate) fn id_or_new(id: &str) -> String {
    if id.is_empty() { Uuid::now_v7().to_string() } else { id.to_owned() }
}

pub(crate) fn new_balance(what: &str, answer: &TransferResponse) -> Result<Cpt, ClientError> {
    if answer.success {
        Ok(Cpt::from_micro(answer.new_balance_micro))
    } else {
        Err(ClientError::refused(what, &answer.message))
    }
}
