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
//! Most ranges are short, and rows of a short range lie on every shard. So a scan of several shards first tries to have a short
//! page of each as cheaply as can be, and only where that fails, or is not all, it asks a shard with a task and a message of its
//! own:
//!
//! ```text
//!  new source ─┬─ led here ──────────────────────────► try_scan: a call, no task     ─┬─ a page ──► its rows, and a rest
//!              ├─ led by a node that leads others, too ► try_scans_at: one message    ─┤
//!              └─ anything else ─────────────────────────────────────────────────────┴─ nothing ─► its own task
//! ```
//!
//! A try waits for nothing and decides nothing: what is in its way (locks, writes under way, splits, an old lease, another
//! leader) is met again by the request that comes after it, which knows what to do. Each source is tried once.
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
use base::{KeyRange, NodeId, ShardId, SlotFilter, SlotRange, TableId, Timestamp, limits};
use bytes::Bytes;
use engine::key::slot_of_key;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
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
    /// Pages on their way. Those that arrive are polled, not all of them: there may be as many as shards.
    underway: FuturesUnordered<BoxFuture<'static, Arrival>>,
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

/// Rows of a shard, and what is left of its part of the range.
type Page = (Vec<(Bytes, Bytes)>, Option<KeyRange>);

/// Pages that arrive together.
enum Arrival {
    /// The page of a source.
    Asked(usize, Result<Page>),
    /// First pages of sources that one node leads; `None` where it gave none.
    Tried(Vec<(usize, Option<Page>)>),
}

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
    /// Whether a page is on its way.
    is_pending: bool,
    /// Whether a short first page is still to be tried.
    is_new: bool,
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
        Source { route: Some(route), slots, rest, is_new: true, ..Source::of_own(VecDeque::new()) }
    }

    /// The own writes.
    fn of_own(rows: VecDeque<(Bytes, Bytes)>) -> Source {
        let asked = KeyRange::default();
        let slots = SlotRange::ALL;
        let (is_pending, is_new, has_head) = (false, false, false);
        Source { route: None, slots, rest: None, asked, is_pending, is_new, rows, has_head }
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
        self.rows.is_empty() && !self.is_pending && self.rest.is_none()
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
            underway: FuturesUnordered::new(),
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

    /// Rows of whichever sources have some.
    async fn any_page(&mut self) -> Result<Vec<(Bytes, Bytes)>> {
        loop {
            self.try_here().await;
            if self.at_hand() < self.wanted {
                self.ask();
            }
            let page = self.gathered();
            if !page.is_empty() {
                return Ok(page);
            }
            if self.sources.iter().all(Source::is_exhausted) {
                return Ok(Vec::new());
            }
            self.arrival().await?;
        }
    }

    /// How many rows have arrived and were not returned yet.
    fn at_hand(&self) -> usize {
        self.sources.iter().map(|source| source.rows.len()).sum()
    }

    /// Rows that are at hand. Those of sources that have few come together: a page costs whoever reads it, however short it is.
    fn gathered(&mut self) -> Vec<(Bytes, Bytes)> {
        let most = self.wanted.min(limits::SCAN_ROWS_MAX);
        let mut page = Vec::new();
        for source in &mut self.sources {
            let count = source.rows.len().min(most - page.len());
            page.extend(source.rows.drain(..count));
            if page.len() >= limits::SCAN_GATHER_ROWS.min(most) {
                break;
            }
        }
        page
    }

    /// Rows in key order across the sources.
    async fn merged_page(&mut self) -> Result<Vec<(Bytes, Bytes)>> {
        let most = self.wanted.min(limits::SCAN_PAGE_ROWS);
        let mut page = Vec::new();
        while page.len() < most {
            if page.is_empty() {
                self.try_here().await;
            }
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
                // One that has nothing more hides no row.
                if !self.raise_head(index) && !self.sources[index].is_exhausted() {
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

    /// How many rows are enough. Own deletes may hide rows of a shard, so that many more may be needed.
    fn enough(&self) -> usize {
        self.wanted.saturating_add(self.own_keys.len())
    }

    /// Whether there is one shard only: its first page is awaited at once, and nothing is gained by trying.
    fn is_of_one_shard(&self) -> bool {
        self.sources.len() == 2
    }

    /// The request for the next page of a range, of at most so many rows.
    fn request(&self, range: KeyRange, limit: usize) -> ReadRequest {
        // Where most rows may be left out, nobody knows how many are enough.
        let limit = match self.slots {
            Some(_) => limits::SCAN_PAGE_ROWS,
            None => limit.min(limits::SCAN_PAGE_ROWS),
        };
        let known = self.known.lock().clone();
        ReadRequest::Scan { range, ts: self.point.ts(), reverse: self.reverse, limit, known }
    }

    /// The same for a first page that is tried.
    fn first_request(&self, range: KeyRange) -> ReadRequest {
        let mut request = self.request(range, self.enough());
        if let ReadRequest::Scan { limit, .. } = &mut request {
            *limit = (*limit).min(limits::SCAN_TRY_ROWS);
        }
        request
    }

    /// Takes in the first pages of shards that this node leads. Others see to their work now and then; nothing is lost when
    /// this is dropped meanwhile.
    async fn try_here(&mut self) {
        if self.is_of_one_shard() {
            return;
        }
        let (mut tried, mut here) = (0_usize, self.at_hand());
        for index in 0..self.sources.len() {
            if !self.ordered && here >= self.wanted {
                return;
            }
            let source = &self.sources[index];
            let (Some(route), true, Some(range)) = (source.route, source.is_new, &source.rest)
            else {
                continue;
            };
            let request = self.first_request(range.clone());
            let Some(page) = self.client.try_scan(route, &request).and_then(page_of) else {
                continue;
            };
            self.sources[index].is_new = false;
            self.take_in(index, page);
            here += self.sources[index].rows.len();
            tried += 1;
            if tried.is_multiple_of(limits::SCANS_AT_A_STRETCH) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Asks each shard that has no page on its way for its next one, unless enough rows are here.
    fn ask(&mut self) {
        let (enough, alone) = (self.enough(), self.is_of_one_shard());
        let mut tries: BTreeMap<NodeId, Vec<(usize, Route, KeyRange)>> = BTreeMap::new();
        for index in 0..self.sources.len() {
            let source = &mut self.sources[index];
            let (Some(route), false) = (source.route, source.is_pending) else { continue };
            let here = source.rows.len() + usize::from(source.has_head);
            if here >= enough || here > limits::SCAN_PAGE_ROWS {
                continue;
            }
            let Some(range) = source.rest.take() else { continue };
            source.asked = range.clone();
            source.is_pending = true;
            let is_new = std::mem::take(&mut source.is_new) && !alone;
            let node = is_new.then(|| self.client.probable_leader(route.shard)).flatten();
            match node {
                Some(node) => tries.entry(node).or_default().push((index, route, range)),
                None => self.ask_one(index, route, self.request(range, enough - here)),
            }
        }
        for (node, mut sources) in tries {
            while !sources.is_empty() {
                let left = sources.split_off(sources.len().min(limits::SCAN_SHARDS_MAX));
                self.try_at(node, std::mem::replace(&mut sources, left));
            }
        }
    }

    /// Asks the shard of a source for its next page.
    fn ask_one(&self, index: usize, route: Route, request: ReadRequest) {
        let at_once = self.is_of_one_shard() && self.sources[index].rows.is_empty();
        let fetch = fetch(self.client.clone(), route, request, self.known.clone());
        let fetch = fetch.map(move |page| Arrival::Asked(index, page)).boxed();
        // A single shard's first page is awaited at once: a task of its own would only cost.
        self.underway.push(match at_once {
            true => fetch,
            false => {
                let what = "the node stops".into();
                let lost = Err(Error::Unavailable { shard: route.shard, what });
                spawned(&*self.client, fetch, Arrival::Asked(index, lost))
            }
        });
    }

    /// Tries to have the first pages of some sources from the node that probably leads their shards.
    fn try_at(&self, node: NodeId, sources: Vec<(usize, Route, KeyRange)>) {
        if let [(index, route, range)] = &sources[..] {
            // Asked as every other page, for as many rows.
            return self.ask_one(*index, *route, self.request(range.clone(), self.enough()));
        }
        let indexes: Vec<usize> = sources.iter().map(|(index, ..)| *index).collect();
        let requests: Vec<_> = sources
            .into_iter()
            .map(|(_, route, range)| (route, self.first_request(range)))
            .collect();
        let lost = Arrival::Tried(indexes.iter().map(|index| (*index, None)).collect());
        let client = self.client.clone();
        let tried = async move {
            let mut answers = client.try_scans_at(node, requests).await.into_iter();
            let page = |index| (index, answers.next().flatten().and_then(page_of));
            Arrival::Tried(indexes.into_iter().map(page).collect())
        };
        self.underway.push(spawned(&*self.client, tried.boxed(), lost));
    }

    /// Takes the rows of a page to a source.
    fn take_in(&mut self, index: usize, (rows, rest): Page) {
        let Scan { sources, own_keys, slots, .. } = self;
        let Some(source) = sources.get_mut(index) else { return };
        source.rest = rest;
        for (key, value) in rows {
            let is_kept = !own_keys.contains(&key) && is_wanted(slots.as_ref(), &key);
            if is_kept && source.owns(&key) {
                source.rows.push_back((key, value));
            }
        }
    }

    /// Waits until at least one page has arrived and takes in all that have.
    async fn arrival(&mut self) -> Result<()> {
        let nothing = || Error::Unavailable {
            shard: ShardId::META,
            what: "a scan waits for a page that nobody was asked for".into(),
        };
        let mut arrived = vec![self.underway.next().await.ok_or_else(nothing)?];
        while let Some(Some(more)) = self.underway.next().now_or_never() {
            arrived.push(more);
        }
        let mut moved = Vec::new();
        for arrival in arrived {
            match arrival {
                Arrival::Asked(index, page) => {
                    self.sources[index].is_pending = false;
                    match page {
                        Ok(page) => self.take_in(index, page),
                        Err(Error::Moved { .. }) => {
                            self.ask_again(index);
                            moved.push(index);
                        }
                        Err(error) => return Err(error),
                    }
                }
                Arrival::Tried(pages) => {
                    for (index, page) in pages {
                        self.sources[index].is_pending = false;
                        match page {
                            Some(page) => self.take_in(index, page),
                            None => self.ask_again(index),
                        }
                    }
                }
            }
        }
        // In the order of the sources, whatever came first.
        moved.sort_unstable();
        moved.into_iter().try_for_each(|index| self.divide(index))
    }

    /// Gives a source back what it had asked for and did not get.
    fn ask_again(&mut self, index: usize) {
        let source = &mut self.sources[index];
        source.rest = Some(std::mem::take(&mut source.asked));
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
        self.underway.clear();
        self.sources.clear();
        self.heads.clear();
    }
}

/// The slots of both.
fn common(one: SlotRange, other: SlotRange) -> SlotRange {
    SlotRange { start: one.start.max(other.start), end: one.end.min(other.end) }
}

/// One page of one shard, resolving locks.
async fn fetch(
    client: Arc<dyn ShardClient>,
    route: Route,
    mut request: ReadRequest,
    known: Known,
) -> Result<Page> {
    let wait = LockWait::patient();
    let answer = resolve::read_with(&*client, route, &mut request, wait).await?;
    learn(&known, request);
    page_of(answer).ok_or_else(|| wrong_answer(route.shard))
}

/// The page that a shard has answered with; `None` when it is an answer to something else.
fn page_of(answer: ReadResponse) -> Option<Page> {
    match answer {
        ReadResponse::Page { rows, rest } => {
            Some((rows.into_iter().map(|(key, version)| (key, version.value)).collect(), rest))
        }
        ReadResponse::Values(_)
        | ReadResponse::Changed { .. }
        | ReadResponse::OldestLock { .. } => None,
    }
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

/// Work that runs on even while nobody polls the scan; `lost` when the node stops before it is done.
fn spawned(
    client: &dyn ShardClient,
    work: BoxFuture<'static, Arrival>,
    lost: Arrival,
) -> BoxFuture<'static, Arrival> {
    let (answer, arrival) = oneshot::channel();
    client.spawn(Box::pin(async move {
        // Nobody waits any more when the scan was dropped.
        let _ = answer.send(work.await);
    }));
    Box::pin(async move { arrival.await.unwrap_or(lost) })
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
