//! What a node does with streams and frames that are not what they should be: each is refused with a
//! sentence and counted, and the group goes on.

use super::*;
use crate::transport::hello::PROTOCOL_VERSION;
use crate::transport::refusal::Reason;
use proto::raft as wire;
use proto::raft::item::Body;
use proto::raft::raft_client::RaftClient;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Status, Streaming};

/// A lane by hand to node 2, as node `from`.
struct Stranger {
    frames: mpsc::Sender<wire::Frame>,
    replies: Streaming<wire::Frame>,
}

fn hello(from: u64) -> wire::Hello {
    Identity { cluster: ClusterId::new(CLUSTER), node: NodeId(from) }.hello(NodeId(2))
}

async fn client(cluster: &Cluster, from: u64) -> RaftClient<Channel> {
    let dialer = WireDialer { wires: cluster.wires.clone(), from: NodeId(from) };
    RaftClient::new(dialer.dial(NodeId(2)).await.unwrap())
}

impl Stranger {
    async fn open(cluster: &Cluster, first: wire::Frame) -> std::result::Result<Stranger, Status> {
        let mut client = client(cluster, 9).await;
        let (frames, outgoing) = mpsc::channel(64);
        frames.try_send(first).unwrap();
        let replies = client.lane(ReceiverStream::new(outgoing)).await?.into_inner();
        let mut stranger = Stranger { frames, replies };
        let answer = stranger.replies.message().await?.unwrap().hello.unwrap();
        assert_eq!((answer.cluster, answer.from_node), (CLUSTER, 2));
        Ok(stranger)
    }

    async fn as_node(cluster: &Cluster, from: u64) -> Stranger {
        let first = wire::Frame { items: Vec::new(), hello: Some(hello(from)) };
        Stranger::open(cluster, first).await.unwrap()
    }

    /// Sends a frame and waits for one reply.
    async fn ask(&mut self, items: Vec<wire::Item>) -> wire::Item {
        self.frames.send(wire::Frame { items, hello: None }).await.unwrap();
        self.reply().await
    }

    async fn reply(&mut self) -> wire::Item {
        self.replies.message().await.unwrap().unwrap().items.remove(0)
    }

    async fn refused(&mut self, item: wire::Item) -> String {
        let reply = self.ask(vec![item.clone()]).await;
        assert_eq!(reply.sequence, item.sequence);
        why(&reply)
    }
}

fn why(reply: &wire::Item) -> String {
    match &reply.body {
        Some(Body::Refused(refused)) => refused.why.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

/// An append of replica 101 to replica 102 that says nothing new.
fn append(cluster: &Cluster) -> wire::AppendRequest {
    let replica = cluster.host(0).registry.get(SHARD).unwrap();
    let vote = replica.with_metrics(|metrics| metrics.vote);
    wire::AppendRequest {
        vote: Some(crate::codec::vote_to_wire(&vote)),
        ..wire::AppendRequest::default()
    }
}

fn item(from: u64, to: u64, body: Body) -> wire::Item {
    wire::Item { shard: SHARD.0, from, to, sequence: 11, body: Some(body) }
}

/// A group that node 1 leads.
async fn led_by_one() -> Cluster {
    let cluster = Cluster::start(3).await;
    cluster.set("before", "1").await;
    let leader = cluster.leader().await;
    if leader != 0 {
        cluster.wait_for(0, "before", "1").await;
        cluster.group(leader).transfer_leader(NodeId(1)).await.unwrap();
    }
    assert_eq!(cluster.leader().await, 0);
    cluster
}

/// The group works and node 2 takes part.
async fn goes_on(cluster: &Cluster) {
    cluster.set("after", "2").await;
    cluster.wait_for(1, "after", "2").await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_strangers_are_refused() {
    let cluster = led_by_one().await;
    let frame = |hello| wire::Frame { items: Vec::new(), hello };
    let good = hello(1);
    let cases = [
        (frame(None), Reason::NoHello, "does not begin with who speaks"),
        (frame(Some(wire::Hello { cluster: 1, ..good })), Reason::WrongCluster, "another cluster"),
        (frame(Some(wire::Hello { to_node: 3, ..good })), Reason::WrongNode, "wants node 3"),
        (
            frame(Some(wire::Hello { protocol: PROTOCOL_VERSION + 1, ..good })),
            Reason::WrongVersion,
            "run the same program on both",
        ),
    ];
    for (first, reason, words) in cases {
        let before = cluster.host(1).refusals.of(reason);
        let refused = Stranger::open(&cluster, first).await.err().unwrap();
        assert!(refused.message().contains(words), "{refused}");
        assert_eq!(cluster.host(1).refusals.of(reason), before + 1);
    }
    goes_on(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_to_the_wrong_node_is_not_used() {
    let cluster = led_by_one().await;
    // The address of node 2 leads to node 3.
    let three = cluster.wires.lock().listeners[&NodeId(3)].clone();
    let two = cluster.wires.lock().listeners.insert(NodeId(2), three).unwrap();
    cluster.cut(1, true);
    cluster.cut(1, false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(cluster.host(2).refusals.of(Reason::WrongNode) > 0);
    cluster.set("meanwhile", "1").await;
    cluster.wires.lock().listeners.insert(NodeId(2), two);
    cluster.wait_for(1, "meanwhile", "1").await;
}

#[tokio::test(start_paused = true)]
async fn messages_in_the_name_of_others_are_refused() {
    let cluster = led_by_one().await;
    let mut stranger = Stranger::as_node(&cluster, 3).await;
    let body = Body::Append(append(&cluster));
    let refused = stranger.refused(item(101, 102, body.clone())).await;
    assert_eq!(refused, "replica 101 lives on node 1, but node 3 speaks for it");
    assert_eq!(cluster.host(1).refusals.of(Reason::WrongSender), 1);
    let refused = stranger.refused(item(103, 102, body.clone())).await;
    assert!(refused.contains("the vote of another replica"), "{refused}");
    let refused = stranger.refused(item(103, 77, body)).await;
    assert_eq!(refused, "unknown replica");
    assert_eq!(cluster.host(1).refusals.of(Reason::UnknownReplica), 1);
    goes_on(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_make_no_sense_are_refused() {
    let cluster = led_by_one().await;
    let mut stranger = Stranger::as_node(&cluster, 1).await;
    let entry = |index| wire::Entry { term: 1, index, payload: None };
    let holes = wire::AppendRequest { entries: vec![entry(0), entry(2)], ..append(&cluster) };
    let voters = vec![wire::VoterSet { replicas: vec![5] }];
    let foreign = wire::Membership { voters, members: vec![] };
    let foreign =
        wire::Entry { payload: Some(wire::entry::Payload::Membership(foreign)), ..entry(0) };
    let foreign = wire::AppendRequest { entries: vec![foreign], ..append(&cluster) };
    let reply = Body::VoteReply(wire::VoteReply::default());
    let empty = wire::Item { body: None, ..item(101, 102, reply.clone()) };
    let numberless = wire::Item { sequence: 0, ..item(101, 102, Body::Append(append(&cluster))) };
    let vote = Body::Vote(wire::VoteRequest::default());
    for (item, words) in [
        (item(101, 102, Body::Append(holes)), "an append with entry 1-2 where index 1"),
        (item(101, 102, Body::Append(foreign)), "membership"),
        (item(101, 102, reply), "a reply where a request belongs"),
        (empty, "does not know"),
        (item(101, 102, vote), "a message without a vote"),
        (numberless, "a request without a number"),
    ] {
        let refused = stranger.refused(item).await;
        assert!(refused.contains(words), "{refused}");
    }
    assert!(cluster.host(1).refusals.of(Reason::BadMessage) >= 4);
    goes_on(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn repeated_and_reordered_frames_change_nothing() {
    use wire::append_reply::Outcome;
    let cluster = led_by_one().await;
    for number in 0..10 {
        cluster.set(&format!("a{number}"), "x").await;
    }
    cluster.wait_for(1, "a9", "x").await;
    let replica = cluster.host(0).registry.get(SHARD).unwrap();
    let last = replica.with_metrics(|metrics| metrics.last_applied.unwrap());
    let entries = cluster.host(0).log.read(&replica.key, 2, last.index + 1, 1 << 20).unwrap();
    let append_at = |position: usize| {
        let prev = crate::codec::log_id_to_wire(&entries[position - 1].log_id);
        let entry = crate::codec::entry_to_wire(&entries[position]);
        wire::AppendRequest { prev: Some(prev), entries: vec![entry], ..append(&cluster) }
    };
    let mut stranger = Stranger::as_node(&cluster, 1).await;
    let before = cluster.group(1).status();
    // What it has, again and backwards.
    for position in (1..entries.len()).rev().chain(1..entries.len()) {
        let reply = stranger.ask(vec![item(101, 102, Body::Append(append_at(position)))]).await;
        let Some(Body::AppendReply(reply)) = reply.body else { panic!("{reply:?}") };
        assert_eq!(reply.outcome(), Outcome::Success);
    }
    // What does not follow on what it has.
    let ahead = wire::LogId { term: last.index, index: last.index + 5 };
    let next = wire::Entry { term: ahead.term, index: ahead.index + 1, payload: None };
    let ahead = wire::AppendRequest { prev: Some(ahead), entries: vec![next], ..append(&cluster) };
    let reply = stranger.ask(vec![item(101, 102, Body::Append(ahead))]).await;
    let Some(Body::AppendReply(reply)) = reply.body else { panic!("{reply:?}") };
    assert_eq!(reply.outcome(), Outcome::Conflict);
    let after = cluster.group(1).status();
    assert_eq!((after.last_log_index, after.term), (before.last_log_index, before.term));
    goes_on(&cluster).await;
    for number in 0..10 {
        assert_eq!(cluster.get(1, &format!("a{number}")).as_deref(), Some(&b"x"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn frames_above_a_limit_end_their_lane_only() {
    let cluster = led_by_one().await;
    let mut stranger = Stranger::as_node(&cluster, 1).await;
    let items = vec![wire::Item::default(); limits::FRAME_ITEMS_MAX + 1];
    let refused = stranger.ask(items).await;
    assert_eq!(refused.sequence, 0);
    assert!(why(&refused).contains("above the limit"), "{refused:?}");
    assert!(stranger.replies.message().await.unwrap().is_none(), "the lane goes on");

    let mut stranger = Stranger::as_node(&cluster, 1).await;
    let payload = Bytes::from(vec![0; limits::MESSAGE_BYTES_MAX + 1]);
    let entry =
        wire::Entry { term: 1, index: 1, payload: Some(wire::entry::Payload::Command(payload)) };
    let large = wire::AppendRequest { entries: vec![entry], ..append(&cluster) };
    let items = vec![item(101, 102, Body::Append(large))];
    stranger.frames.send(wire::Frame { items, hello: None }).await.unwrap();
    assert!(!matches!(stranger.replies.message().await, Ok(Some(_))));
    assert_eq!(cluster.host(1).refusals.of(Reason::TooLarge), 2);
    goes_on(&cluster).await;
}

/// Sends bytes as they are.
#[derive(Default)]
struct RawCodec;

struct RawEncoder;
struct NoDecoder;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = RawEncoder;
    type Decoder = NoDecoder;

    fn encoder(&mut self) -> RawEncoder {
        RawEncoder
    }

    fn decoder(&mut self) -> NoDecoder {
        NoDecoder
    }
}

impl Encoder for RawEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> std::result::Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for NoDecoder {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> std::result::Result<Option<()>, Status> {
        let length = bytes::Buf::remaining(from);
        bytes::Buf::advance(from, length);
        Ok(Some(()))
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_refused_on_both_kinds_of_streams() {
    use prost::Message;
    let cluster = led_by_one().await;
    let mut random = Rng::seeded(77);
    let mut garbage = |length: usize| -> Bytes {
        // A field of wire type 7 exists in no message.
        let random = (0..length).map(|_| random.next_u64() as u8);
        std::iter::once(0x0f).chain(random).collect()
    };
    let first = wire::Frame { items: Vec::new(), hello: Some(hello(1)) }.encode_to_vec();
    for round in 0..20 {
        let before = cluster.host(1).refusals.of(Reason::Garbage);
        for path in ["/precinct.raft.Raft/Lane", "/precinct.raft.Raft/Snapshot"] {
            let dialer = WireDialer { wires: cluster.wires.clone(), from: NodeId(9) };
            let channel = dialer.dial(NodeId(2)).await.unwrap();
            let mut grpc = tonic::client::Grpc::new(channel);
            grpc.ready().await.unwrap();
            let mut messages = vec![garbage(1 + round * 7)];
            if path.ends_with("Lane") && round % 2 == 0 {
                messages.insert(0, first.clone().into());
            }
            let request = tonic::Request::new(tokio_stream::iter(messages));
            let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
            let answer = grpc.streaming(request, path, RawCodec).await;
            if let Ok(answer) = answer {
                let mut answer = answer.into_inner();
                while let Ok(Some(())) = answer.message().await {}
            }
        }
        assert_eq!(cluster.host(1).refusals.of(Reason::Garbage), before + 2, "round {round}");
    }
    goes_on(&cluster).await;
}
