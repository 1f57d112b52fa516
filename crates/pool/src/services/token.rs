//! `TokenService`: transfers, balances and statements.
//!
//! Start at [`TokenCalls`]; what a statement says is in `statement`, in what words in `words`.
//!
//! Invariant: nobody's accounts are shown but the caller's, and those that one of their own tasks touched.

use super::amount::{amount, once};
use super::{refusal_or_fault, statement, wrong_reply};
use crate::shared::Shared;
use crate::status;
use crate::writer::Refused;
use hivemind_ledger::Purse;
use hivemind_model::economy::Mode;
use hivemind_model::{Code, Command, Cpt, Rejection, Reply, UserId};
use hivemind_proto::v1::token_service_server::TokenService;
use hivemind_proto::v1::{
    BalanceRequest, BalanceResponse, StatementRequest, StatementResponse, TaskEntriesRequest, TaskEntriesResponse,
    TransferManyRequest, TransferManyResponse, TransferRequest, TransferResponse,
};
use hivemind_store::Funds;
use prost::Message;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Most transfers of one `TransferMany`.
const MAX_TRANSFERS: usize = 10_000;

/// The service.
pub(crate) struct TokenCalls(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl TokenService for TokenCalls {
    async fn transfer(&self, request: Request<TransferRequest>) -> Result<Response<TransferResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let answer = match command(caller.id, request.into_inner()) {
            Ok(command) => moved("transferred", self.0.writer.apply(command).await)?,
            Err(rejection) => not_moved(&rejection),
        };
        Ok(Response::new(answer))
    }

    async fn transfer_many(
        &self,
        request: Request<TransferManyRequest>,
    ) -> Result<Response<TransferManyResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let requests = request.into_inner().transfers;
        if requests.len() > MAX_TRANSFERS {
            return Err(status::rejected(&Rejection::field(
                Code::TooLarge,
                "transfers",
                format!("{} transfers; at most {MAX_TRANSFERS} are taken at once", requests.len()),
            )));
        }
        let (mut commands, mut answers) = (Vec::with_capacity(requests.len()), Vec::with_capacity(requests.len()));
        for request in requests {
            match command(caller.id, request) {
                Ok(command) => {
                    commands.push(command);
                    answers.push(None);
                }
                Err(rejection) => answers.push(Some(not_moved(&rejection))),
            }
        }
        let mut replies = self.0.writer.apply_many(commands).await.into_iter();
        let mut transfers = Vec::with_capacity(answers.len());
        for answer in answers {
            transfers.push(match answer {
                Some(refused) => refused,
                None => moved("transferred", replies.next().unwrap_or(Err(Refused::Stopped)))?,
            });
        }
        Ok(Response::new(TransferManyResponse { transfers }))
    }

    async fn balance(&self, request: Request<BalanceRequest>) -> Result<Response<BalanceResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        balance_of(&self.0, caller.id).await.map(Response::new)
    }

    async fn statement(&self, request: Request<StatementRequest>) -> Result<Response<StatementResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        statement::page(&self.0, caller.id, request.get_ref()).await.map(Response::new)
    }

    async fn task_entries(
        &self,
        request: Request<TaskEntriesRequest>,
    ) -> Result<Response<TaskEntriesResponse>, Status> {
        let caller = self.0.caller(&request.get_ref().token, request.metadata())?;
        let task = self.0.own_task(caller.id, &request.get_ref().task_id).await?;
        let task = task.map_err(|rejection| status::rejected(&rejection))?;
        statement::of_task(&self.0, &task).await.map(Response::new)
    }
}

/// What a user has, as it is told them.
pub(super) async fn balance_of(shared: &Shared, user: UserId) -> Result<BalanceResponse, Status> {
    let funds = shared.store.funds(user).await.map_err(|error| status::store(&error))?;
    let balance = spendable(&funds);
    let transferable = match shared.policy.economy.mode {
        Mode::Open => balance,
        Mode::Guarded => funds.available,
    };
    Ok(BalanceResponse {
        success: true,
        balance: balance.whole(),
        message: format!("{balance} available, {} held for open tasks", funds.held),
        balance_micro: balance.micro(),
        held_micro: funds.held.micro(),
        promo_micro: funds.promo.micro(),
        transferable_micro: transferable.micro(),
        pending_micro: funds.pending.micro(),
        vesting_micro: funds.vesting.micro(),
    })
}

/// What a user can spend on tasks.
pub(super) fn spendable(funds: &Funds) -> Cpt {
    Purse { own: funds.available, promo: funds.promo }.total()
}

/// The answer to a transfer or a tip; `done` is what is said of one that was made.
pub(super) fn moved(done: &str, outcome: Result<Reply, Refused>) -> Result<TransferResponse, Status> {
    match refusal_or_fault(outcome)? {
        Ok(Reply::Transferred { balance }) => Ok(TransferResponse {
            success: true,
            message: done.into(),
            new_balance: balance.whole(),
            new_balance_micro: balance.micro(),
        }),
        Ok(other) => Err(wrong_reply(&other)),
        Err(rejection) => Ok(not_moved(&rejection)),
    }
}

/// The answer to a transfer or a tip that is refused.
pub(super) fn not_moved(rejection: &Rejection) -> TransferResponse {
    TransferResponse { message: rejection.to_string(), ..TransferResponse::default() }
}

fn command(from: UserId, request: TransferRequest) -> Result<Command, Rejection> {
    let amount = amount(request.amount, request.amount_micro)?;
    let once = once("transfer_id", from, &request.transfer_id, || {
        let body = TransferRequest { token: String::new(), transfer_id: String::new(), ..request.clone() };
        body.encode_to_vec()
    })?;
    Ok(Command::Transfer { from, to_username: request.to_username, amount, once })
}
