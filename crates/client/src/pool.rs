//! The pool as a whole: its health, what waits, what changes, its journal.
//!
//! Start at [`Client::watch_pool`] for what changes; the rest is for operators, but [`Client::public_counters`], which needs
//! no login.
//!
//! Invariant: nothing here changes anything, so every call may be repeated.

use crate::client::MAX_MESSAGE_BYTES;
use crate::pages::{page_size, paged};
use crate::{Client, ClientError, Events};
use futures::StreamExt;
use hivemind_proto::v1::pool_event::Event;
use hivemind_proto::v1::pool_service_client::PoolServiceClient;
use hivemind_proto::v1::{
    HealthRequest, HealthResponse, JournalEntry, ListJournalRequest, ListJournalResponse, PublicCountersRequest,
    PublicCountersResponse, QueueRequest, QueueResponse, WatchPoolRequest,
};
use tonic::transport::Channel;

impl Client {
    /// How the pool is, no older than a second.
    ///
    /// # Errors
    /// `E_FORBIDDEN` where the caller is not an operator.
    pub async fn health(&self) -> Result<HealthResponse, ClientError> {
        let call = async || self.whole_pool().health(self.request(HealthRequest::default())).await;
        self.repeated("Health", call).await
    }

    /// What waits, by the reason why it does and by age.
    ///
    /// # Errors
    /// `E_FORBIDDEN` where the caller is not an operator.
    pub async fn queue(&self) -> Result<QueueResponse, ClientError> {
        let call = async || self.whole_pool().queue(self.request(QueueRequest::default())).await;
        self.repeated("Queue", call).await
    }

    /// The state now, then what changed, each thing at most once a second, without end: of the caller's own nodes and
    /// balance, and for operators of the pool's health and of every node. [`Event::Begins`] comes before each whole state,
    /// the first too. Ends with an error when the connection is lost or the pool stops.
    ///
    /// # Errors
    /// `E_BUSY` where the caller, or all together, watch too often already.
    pub async fn watch_pool(&self) -> Result<Events<Event>, ClientError> {
        let what = "WatchPool";
        let request = self.stream_request(WatchPoolRequest::default());
        let events = self.opened(what, self.whole_pool().watch_pool(request)).await?;
        let this = self.clone();
        // An event without content is one of a newer pool.
        let known = events.filter_map(move |event| {
            let event = event.map_err(|status| this.fault(what, &status)).map(|event| event.event).transpose();
            std::future::ready(event)
        });
        Ok(known.boxed())
    }

    /// One page of the journal, newest entry first. A page can be short, or empty, while more follow.
    ///
    /// # Errors
    /// `E_FORBIDDEN` where the caller is not an operator; the refusal of a filter or of a page token that is none.
    pub async fn journal(&self, request: ListJournalRequest) -> Result<ListJournalResponse, ClientError> {
        let call = async || self.whole_pool().list_journal(self.request(request.clone())).await;
        self.repeated("ListJournal", call).await
    }

    /// The first `most` entries that `filter` lets through, newest first, read page by page as they are taken; its own
    /// page size and token are not read.
    #[must_use]
    pub fn journal_entries(&self, filter: ListJournalRequest, most: usize) -> Events<JournalEntry> {
        let this = self.clone();
        paged("ListJournal", most, move |page_token| {
            let this = this.clone();
            let request = ListJournalRequest { page_size: page_size(most), page_token, ..filter.clone() };
            async move {
                let page = this.journal(request).await?;
                Ok((page.entries, page.next_page_token))
            }
        })
    }

    /// What everybody may know of the pool, no older than ten seconds; needs no token.
    ///
    /// # Errors
    /// `E_BUSY` where this address asks too often.
    pub async fn public_counters(&self) -> Result<PublicCountersResponse, ClientError> {
        let call = async || self.whole_pool().public_counters(self.request(PublicCountersRequest {})).await;
        self.repeated("PublicCounters", call).await
    }

    fn whole_pool(&self) -> PoolServiceClient<Channel> {
        PoolServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}
