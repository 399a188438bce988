//! Pages of ranges as messages: of one shard, and first pages of several with one message.

use super::read_to_pb;
use base::{KeyRange, Timestamp};
use bytes::Bytes;
use proto::node as pb;
use txn::Route;
use txn::command::{ReadRequest, ReadResponse, Version};

/// A page as a message.
pub(super) fn page_to_pb(rows: Vec<(Bytes, Version)>, rest: Option<KeyRange>) -> pb::Page {
    let more = rest.is_some();
    let rest = rest.unwrap_or_default();
    let row = |(key, version): (Bytes, Version)| pb::Row {
        key,
        commit_ts: version.commit_ts.0,
        value: version.value,
    };
    let rows = rows.into_iter().map(row).collect();
    pb::Page { rows, more, rest_start: rest.start, rest_end: rest.end }
}

/// A message as a page.
pub(super) fn page_from_pb(page: pb::Page) -> ReadResponse {
    let row =
        |row: pb::Row| (row.key, Version { commit_ts: Timestamp(row.commit_ts), value: row.value });
    ReadResponse::Page {
        rows: page.rows.into_iter().map(row).collect(),
        rest: page.more.then_some(KeyRange { start: page.rest_start, end: page.rest_end }),
    }
}

/// Reads of ranges of several shards as one message.
pub fn scans_to_pb(requests: Vec<(Route, ReadRequest)>) -> pb::ShardScans {
    let reads = requests.into_iter().map(|(route, request)| read_to_pb(route, request));
    pb::ShardScans { reads: reads.collect() }
}

/// The answer to one of them, if there is one.
pub fn maybe_page_to_pb(answer: Option<ReadResponse>) -> pb::MaybePage {
    let page = match answer {
        Some(ReadResponse::Page { rows, rest }) => Some(page_to_pb(rows, rest)),
        Some(
            ReadResponse::Values(_)
            | ReadResponse::Changed { .. }
            | ReadResponse::OldestLock { .. },
        )
        | None => None,
    };
    pb::MaybePage { page }
}

/// A message as the answers to so many of them. An answer of another kind, as from a node that does not know such calls,
/// answers none.
pub fn pages_from_pb(count: usize, response: pb::answer::Response) -> Vec<Option<ReadResponse>> {
    let pages = match response {
        pb::answer::Response::ShardPages(pages) => pages.pages,
        _ => Vec::new(),
    };
    let mut answers: Vec<Option<ReadResponse>> =
        pages.into_iter().map(|part| part.page.map(page_from_pb)).collect();
    answers.resize(count, None);
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::read_from_pb;
    use base::{ShardEpoch, ShardId, SlotRange};

    #[test]
    fn scans_of_several_shards_survive_the_wire() {
        let request = |number: u64| {
            let slots = SlotRange { start: number as u32, end: number as u32 + 1 };
            let route = Route { shard: ShardId(number), epoch: ShardEpoch(9), slots };
            let (range, ts) = (KeyRange::new("a", "b"), Timestamp(9));
            (route, ReadRequest::Scan { range, ts, reverse: true, limit: 7, known: Vec::new() })
        };
        let requests = vec![request(3), request(5)];
        let message = scans_to_pb(requests.clone());
        let back: Vec<_> = message.reads.into_iter().map(read_from_pb).collect();
        assert_eq!(back, requests);
    }

    #[test]
    fn what_is_missing_in_an_answer_was_not_answered() {
        let version = Version { commit_ts: Timestamp(4), value: Bytes::from_static(b"v") };
        let rows = vec![(Bytes::from_static(b"k"), version)];
        let page = ReadResponse::Page { rows, rest: Some(KeyRange::new("k1", "z")) };
        let parts = [None, Some(page.clone())].map(maybe_page_to_pb).to_vec();
        let answer = pb::answer::Response::ShardPages(pb::ShardPages { pages: parts });
        assert_eq!(pages_from_pb(3, answer.clone()), [None, Some(page), None]);
        assert_eq!(pages_from_pb(1, answer), [None]);
        let other = pb::answer::Response::Pong(pb::Pong {});
        assert_eq!(pages_from_pb(2, other), [None, None]);
    }
}
