//! A scan over shards: pages fetched ahead in parallel, merged with the transaction's own writes.
//!
//! ```text
//!  shard 1 ─► page, next page ahead ─┐
//!  shard 2 ─► page, next page ahead ─┼─► rows without own keys ─► merged by key, or as they come
//!  own puts in the range ────────────┘
//! ```
//!
//! A scan holds all it needs (client, read point, a copy of the own writes in its range), so it can be
//! polled while its transaction sits elsewhere. `next_page` may be dropped and called again: no row is
//! lost.
//!
//! A shard that is split while it is scanned answers `Moved`. The shards that own its slots then take its place, each with the
//! same rest of the range: what was returned before lies before that rest, so order and rows are as they would have been. A
//! shard that has taken its neighbour in answers with rows of both: each source keeps to the slots that it began with.
//!
//! A scan of some slots asks the shards that own them and passes over rows of others, so what it returns is the same before and
//! after a split.
//!
//! A scan of a large transaction sees what had been written before it was opened: of the transaction's locks only what
//! rounds up to then have placed.
//!
//! Not here: filters and projections; they come with fragments that run at the shard.

use super::large::OpenScan;
use super::owners::{Moves, owners};
use super::write_buffer::WriteBuffer;
use super::wrong_answer;
use crate::command::{Fate, KnownTransaction, ReadRequest, ReadResponse};
use crate::read_points::ReadPoint;
use crate::shard_client::{Route, ShardClient};
use crate::transaction::resolve::{self, LockWait};
use crate::{Error, Result};
use base::{KeyRange, ShardId, SlotFilter, SlotRange, TableId, Timestamp, limits};
use bytes::Bytes;
use engine::key::slot_of_key;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;

/// How to scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// Descending key order.
    pub reverse: bool,
    /// Most rows to return.
    pub limit: Option<usize>,
    /// An engine key whose shard holds every row wanted; `None` asks all shards.
    pub shard: Option<Bytes>,
    /// Whether rows must come in key order across shards. Otherwise pages come as shards answer.
    pub ordered: bool,
    /// Only keys of these slots; `None` for all. Keys of system tables have none to look at.
    pub slots: Option<SlotFilter>,
}

/// A running scan.
pub struct Scan {
    /// The way to shards.
    client: Arc<dyn ShardClient>,
    /// Read point, held while the scan lives.
    point: Arc<ReadPoint>,
    /// Descending order.
    reverse: bool,
    /// Merge by key.
    ordered: bool,
    /// Rows still to be returned; `usize::MAX` without a limit.
    wanted: usize,
    /// Keys in the range that the transaction wrote: a shard's row of such a key does not count.
    own_keys: BTreeSet<Bytes>,
    /// Slots whose keys are wanted; `None` for all.
    slots: Option<SlotFilter>,
    /// The shards, and the own puts as a source that is read to its end.
    sources: Vec<Source>,
    /// How often shards were split meanwhile.
    moves: Moves,
    /// First rows of the sources, when ordered.
    heads: BTreeMap<(Bytes, usize), Bytes>,
    /// What is known of large transactions; pages add to it.
    known: Known,
    /// Keeps the changes that it sees in the transaction's locks.
    _round: OpenScan,
}

/// Large transactions that a scan has met.
type Known = Arc<Mutex<Vec<KnownTransaction>>>;

/// A page of a shard on its way.
type PageFuture = BoxFuture<'static, Result<(Vec<(Bytes, Bytes)>, Option<KeyRange>)>>;

/// One shard's part of a scan.
struct Source {
    /// The shard; `None` for the own writes.
    route: Option<Route>,
    /// Rows of other slots are another source's.
    slots: SlotRange,
    /// What has not been asked for yet; `None` when everything was.
    rest: Option<KeyRange>,
    /// What the page on its way was asked for.
    asked: KeyRange,
    /// The page on its way.
    pending: Option<PageFuture>,
    /// Rows that arrived and were not returned yet, in scan order, own keys taken out.
    rows: VecDeque<(Bytes, Bytes)>,
    /// Whether a row of it stands in `Scan::heads`.
    has_head: bool,
}

impl Source {
    /// A shard's part, of which nothing was asked for yet.
    fn of_shard(route: Route, rest: Option<KeyRange>) -> Source {
        Source::of_slots(route, route.slots, rest)
    }

    /// The part of a shard that lies in some slots.
    fn of_slots(route: Route, slots: SlotRange, rest: Option<KeyRange>) -> Source {
        Source { route: Some(route), slots, rest, ..Source::of_own(VecDeque::new()) }
    }

    /// The own writes.
    fn of_own(rows: VecDeque<(Bytes, Bytes)>) -> Source {
        let asked = KeyRange::default();
        let slots = SlotRange::ALL;
        Source { route: None, slots, rest: None, asked, pending: None, rows, has_head: false }
    }

    /// Whether a row that its shard has answered with belongs to it.
    fn owns(&self, key: &[u8]) -> bool {
        match self.route {
            // Most shards own just what they are asked for, and the meta shard has no slots.
            Some(route) if route.shard != ShardId::META && route.slots != self.slots => {
                slot_of_key(key).is_ok_and(|slot| self.slots.contains(slot))
            }
            Some(_) | None => true,
        }
    }

    /// Whether nothing more will come from it.
    fn is_exhausted(&self) -> bool {
        self.rows.is_empty() && self.pending.is_none() && self.rest.is_none()
    }

    /// Whether it may still have rows and shows none: no row of another source is safe to take.
    fn is_blind(&self) -> bool {
        !self.has_head && !self.is_exhausted()
    }
}

impl Scan {
    /// Sets up the sources; the first pages are asked for by the first `next_page`.
    pub(super) fn open(
        client: Arc<dyn ShardClient>,
        point: Arc<ReadPoint>,
        range: KeyRange,
        options: ScanOptions,
        buffer: &WriteBuffer,
        (own, round): (Option<Timestamp>, OpenScan),
    ) -> Result<Scan> {
        let only = match &options.shard {
            Some(key) => Some(client.locate(key)?),
            None => None,
        };
        let routes = match only {
            Some(route) => vec![route],
            None if is_meta(&range) => vec![client.locate(&range.start)?],
            None => client.data_shards()?,
        };
        let slots = options.slots.filter(|_| !is_meta(&range));
        let has_wanted =
            |route: &Route| slots.as_ref().is_none_or(|slots| slots.meets(route.slots));
        let routes = routes.into_iter().filter(has_wanted);
        let (mut own_keys, mut own_rows) = (BTreeSet::new(), VecDeque::new());
        for (key, write) in buffer.in_range(&range) {
            if let Some(route) = only
                && route.shard != ShardId::META
                && !route.slots.contains(slot_of_key(key)?)
            {
                continue;
            }
            if !is_wanted(slots.as_ref(), key) {
                continue;
            }
            own_keys.insert(key.clone());
            if let Some(value) = &write.value {
                own_rows.push_back((key.clone(), value.clone()));
            }
        }
        if options.reverse {
            own_rows.make_contiguous().reverse();
        }
        let rest = (!range.is_empty()).then_some(range);
        let mut sources: Vec<Source> =
            routes.map(|route| Source::of_shard(route, rest.clone())).collect();
        sources.push(Source::of_own(own_rows));
        let fate = Fate::Own { round: round.number() };
        let known = own.into_iter().map(|start_ts| KnownTransaction { start_ts, fate }).collect();
        Ok(Scan {
            client,
            point,
            reverse: options.reverse,
            ordered: options.ordered,
            wanted: options.limit.unwrap_or(usize::MAX),
            own_keys,
            slots,
            sources,
            moves: Moves::default(),
            heads: BTreeMap::new(),
            known: Arc::new(Mutex::new(known)),
            _round: round,
        })
    }

    /// The read point of the scan.
    pub fn read_ts(&self) -> Timestamp {
        self.point.ts()
    }

    /// The next rows, at least one; `None` at the end. After an error the scan is over.
    pub async fn next_page(&mut self) -> Result<Option<Vec<(Bytes, Bytes)>>> {
        if self.wanted == 0 {
            self.stop();
            return Ok(None);
        }
        let page = match self.ordered {
            true => self.merged_page().await,
            false => self.any_page().await,
        };
        match page {
            Ok(rows) if rows.is_empty() => {
                self.stop();
                Ok(None)
            }
            Ok(rows) => {
                self.wanted = self.wanted.saturating_sub(rows.len());
                Ok(Some(rows))
            }
            Err(error) => {
                self.stop();
                Err(error)
            }
        }
    }

    /// Rows of whichever source has some.
    async fn any_page(&mut self) -> Result<Vec<(Bytes, Bytes)>> {
        loop {
            self.ask();
            if let Some(source) = self.sources.iter_mut().find(|source| !source.rows.is_empty()) {
                let count = source.rows.len().min(self.wanted).min(limits::SCAN_ROWS_MAX);
                return Ok(source.rows.drain(..count).collect());
            }
            if self.sources.iter().all(Source::is_exhausted) {
                return Ok(Vec::new());
            }
            self.arrival().await?;
        }
    }

    /// Rows in key order across the sources.
    async fn merged_page(&mut self) -> Result<Vec<(Bytes, Bytes)>> {
        let most = self.wanted.min(limits::SCAN_PAGE_ROWS);
        let mut page = Vec::new();
        while page.len() < most {
            // Every source that may still have rows must show its first one.
            for index in 0..self.sources.len() {
                if !self.sources[index].has_head {
                    self.raise_head(index);
                }
            }
            self.ask();
            if self.sources.iter().any(Source::is_blind) {
                if !page.is_empty() {
                    break;
                }
                self.arrival().await?;
                continue;
            }
            if self.heads.is_empty() {
                break;
            }
            // All sources show a row, so rows can be taken until one runs dry.
            while page.len() < most {
                let first = match self.reverse {
                    true => self.heads.pop_last(),
                    false => self.heads.pop_first(),
                };
                let Some(((key, index), value)) = first else { break };
                page.push((key, value));
                self.sources[index].has_head = false;
                if !self.raise_head(index) {
                    break;
                }
            }
        }
        Ok(page)
    }

    /// Moves a source's first row to the heads. `false` when it has none at hand.
    fn raise_head(&mut self, index: usize) -> bool {
        let Some((key, value)) = self.sources[index].rows.pop_front() else { return false };
        self.sources[index].has_head = true;
        self.heads.insert((key, index), value);
        true
    }

    /// Asks each shard that has no page on its way for its next one, unless enough rows are here.
    fn ask(&mut self) {
        // Own deletes may hide rows of a shard, so that many more may be needed.
        let enough = self.wanted.saturating_add(self.own_keys.len());
        let alone = self.sources.len() == 2;
        for source in &mut self.sources {
            let (Some(route), None) = (source.route, &source.pending) else { continue };
            let here = source.rows.len();
            if here >= enough || here > limits::SCAN_PAGE_ROWS {
                continue;
            }
            // Where most rows may be left out, nobody knows how many are enough.
            let limit = match self.slots {
                Some(_) => limits::SCAN_PAGE_ROWS,
                None => (enough - here).min(limits::SCAN_PAGE_ROWS),
            };
            let Some(range) = source.rest.take() else { continue };
            let known = self.known.lock().clone();
            source.asked = range.clone();
            let (ts, reverse) = (self.point.ts(), self.reverse);
            let request = ReadRequest::Scan { range, ts, reverse, limit, known };
            let fetch = fetch(self.client.clone(), route, request, self.known.clone());
            // A single shard's first page is awaited at once: a task of its own would only cost.
            source.pending = Some(match alone && source.rows.is_empty() {
                true => fetch,
                false => spawned(&*self.client, route, fetch),
            });
        }
    }

    /// Waits until at least one page has arrived and takes in all that have.
    async fn arrival(&mut self) -> Result<()> {
        let Scan { sources, own_keys, slots, .. } = self;
        let is_kept = |key: &Bytes| !own_keys.contains(key) && is_wanted(slots.as_ref(), key);
        let moved = std::future::poll_fn(|context| {
            let (mut arrived, mut moved) = (false, Vec::new());
            for (index, source) in sources.iter_mut().enumerate() {
                let Some(pending) = &mut source.pending else { continue };
                let Poll::Ready(answer) = pending.as_mut().poll(context) else { continue };
                source.pending = None;
                arrived = true;
                let (rows, rest) = match answer {
                    Ok(page) => page,
                    Err(Error::Moved { .. }) => {
                        source.rest = Some(std::mem::take(&mut source.asked));
                        moved.push(index);
                        continue;
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                };
                source.rest = rest;
                let kept = |key: &Bytes| is_kept(key) && source.owns(key);
                let rows: Vec<_> = rows.into_iter().filter(|(key, _)| kept(key)).collect();
                source.rows.extend(rows);
            }
            if arrived { Poll::Ready(Ok(moved)) } else { Poll::Pending }
        })
        .await?;
        moved.into_iter().try_for_each(|index| self.divide(index))
    }

    /// Puts the shards that own a source's slots now in its place. The source itself, which may have rows that were not
    /// returned yet, stays as the first of them.
    fn divide(&mut self, index: usize) -> Result<()> {
        let Some(route) = self.sources[index].route else { return Ok(()) };
        self.moves.again(route.shard)?;
        let rest = self.sources[index].rest.clone();
        let slots = self.sources[index].slots;
        let mut owners = owners(&*self.client, slots)?.into_iter();
        if let Some(first) = owners.next() {
            self.sources[index].route = Some(first);
            self.sources[index].slots = common(first.slots, slots);
        }
        self.sources.extend(
            owners.map(|route| Source::of_slots(route, common(route.slots, slots), rest.clone())),
        );
        Ok(())
    }

    /// Drops everything that is left.
    fn stop(&mut self) {
        self.wanted = 0;
        self.sources.clear();
        self.heads.clear();
    }
}

/// The slots of both.
fn common(one: SlotRange, other: SlotRange) -> SlotRange {
    SlotRange { start: one.start.max(other.start), end: one.end.min(other.end) }
}

/// One page of one shard, resolving locks.
fn fetch(
    client: Arc<dyn ShardClient>,
    route: Route,
    mut request: ReadRequest,
    known: Known,
) -> PageFuture {
    Box::pin(async move {
        let wait = LockWait::patient();
        let answer = resolve::read_with(&*client, route, &mut request, wait).await?;
        learn(&known, request);
        match answer {
            ReadResponse::Page { rows, rest } => {
                Ok((rows.into_iter().map(|(key, version)| (key, version.value)).collect(), rest))
            }
            ReadResponse::Values(_)
            | ReadResponse::Changed { .. }
            | ReadResponse::OldestLock { .. } => Err(wrong_answer(route.shard)),
        }
    })
}

/// Keeps what a page has learned for the others.
fn learn(known: &Known, mut request: ReadRequest) {
    let Some((_, learned)) = request.sight() else { return };
    let mut known = known.lock();
    for transaction in learned.drain(..) {
        if !known.contains(&transaction) {
            known.push(transaction);
        }
    }
}

/// The same, running on even while nobody polls the scan.
fn spawned(client: &dyn ShardClient, route: Route, fetch: PageFuture) -> PageFuture {
    let (answer, page) = oneshot::channel();
    client.spawn(Box::pin(async move {
        // Nobody waits any more when the scan was dropped.
        let _ = answer.send(fetch.await);
    }));
    Box::pin(async move {
        let stopped = || Error::Unavailable { shard: route.shard, what: "the node stops".into() };
        page.await.unwrap_or_else(|_| Err(stopped()))
    })
}

/// Whether a key lies in a wanted slot. One that has none is passed on: whoever reads it finds it corrupt.
fn is_wanted(slots: Option<&SlotFilter>, key: &[u8]) -> bool {
    slots.is_none_or(|slots| slot_of_key(key).map_or(true, |slot| slots.contains(slot)))
}

/// Whether the range lies in the meta shard's own tables.
fn is_meta(range: &KeyRange) -> bool {
    let Some(table) = range.start.first_chunk::<4>() else { return false };
    u32::from_be_bytes(*table) < TableId::FIRST_USER.0
}
