//! Links and relays between services that run in this process.

use super::*;
use futures::Stream;
use proto::node::node_server::{Node, NodeServer};
use std::pin::Pin;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming};

const CLUSTER: u64 = 7;
/// Longer than any link stays silent.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A node that answers pings and passes calls on, or hangs.
struct TestNode {
    peers: Option<Arc<Peers>>,
}

#[tonic::async_trait]
impl Node for TestNode {
    type CallsStream = Pin<Box<dyn Stream<Item = Result<pb::AnswerFrame, Status>> + Send>>;

    async fn calls(
        &self,
        request: Request<Streaming<pb::CallFrame>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        let Some(peers) = self.peers.clone() else {
            return Ok(Response::new(Box::pin(futures::stream::pending())));
        };
        let answers = futures::stream::unfold(request.into_inner(), move |mut frames| {
            let peers = peers.clone();
            async move {
                let frame = frames.message().await.ok()??;
                let mut answers = Vec::new();
                for call in frame.calls {
                    let response = match call.request? {
                        pb::call::Request::Ping(_) => pb::answer::Response::Pong(pb::Pong {}),
                        pb::call::Request::Relay(relay) => {
                            pb::answer::Response::Relayed(Box::new(peers.pass_on(*relay).await))
                        }
                        other => panic!("not a call of these tests: {other:?}"),
                    };
                    answers.push(pb::Answer { seq: call.seq, response: Some(response) });
                }
                Some((Ok(pb::AnswerFrame { answers }), frames))
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Starts a node and says where it listens.
async fn serve(peers: Option<Arc<Peers>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = crate::incoming::incoming(listener);
    let service = NodeServer::new(TestNode { peers });
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    address
}

/// An address where nobody listens.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

fn peers(node: u64, addresses: &[(u64, &str)]) -> Arc<Peers> {
    let addresses = addresses.iter().map(|(node, address)| (NodeId(*node), address.to_string()));
    let runtime = tokio::runtime::Handle::current();
    Arc::new(Peers::new(NodeId(node), ClusterId::new(CLUSTER), addresses.collect(), runtime))
}

fn ping() -> pb::call::Request {
    pb::call::Request::Ping(pb::Ping {})
}

#[tokio::test]
async fn a_call_to_a_node_that_hangs_is_given_up_long_before_its_own_wait_is_over() {
    let hangs = serve(None).await;
    let peers = peers(1, &[(2, &hangs)]);
    match peers.call(NodeId(2), ping(), WAIT_MAX).await {
        Err(CallError::Lost(why)) => assert!(why.contains("no sign of life"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_to_a_node_that_accepts_and_says_nothing_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let peers = peers(1, &[(2, &address)]);
    let outcome = peers.call(NodeId(2), ping(), WAIT_MAX).await;
    assert!(matches!(&outcome, Err(CallError::NotSent(_))), "{outcome:?}");
}

#[tokio::test]
async fn two_nodes_that_cannot_reach_each_other_talk_over_a_third() {
    let three = serve(Some(peers(3, &[]))).await;
    let two = serve(Some(peers(2, &[(3, &three)]))).await;
    let one = peers(1, &[(2, &two), (3, &nobody().await)]);
    // Nobody knows yet that the link is down: this is how it is found out.
    let direct = one.call(NodeId(3), ping(), WAIT_MAX).await;
    assert!(matches!(&direct, Err(CallError::NotSent(_))), "{direct:?}");
    let around = one.call_any_way(NodeId(3), ping(), WAIT_MAX).await;
    assert_eq!(around, Ok(pb::answer::Response::Pong(pb::Pong {})));
}

#[tokio::test]
async fn a_call_to_a_node_that_nobody_reaches_is_not_sent_and_does_not_wander() {
    let gone = nobody().await;
    let two = serve(Some(peers(2, &[(3, &gone)]))).await;
    let one = peers(1, &[(2, &two), (3, &gone)]);
    for _ in 0..3 {
        let outcome = one.call_any_way(NodeId(3), ping(), WAIT_MAX).await;
        assert!(matches!(&outcome, Err(CallError::NotSent(_))), "{outcome:?}");
    }
    // A relay inside a relay is refused.
    let inner = pb::Relay { to: 3, wait_ms: 1000, call: None };
    let call = pb::Call { seq: 0, request: Some(pb::call::Request::Relay(Box::new(inner))) };
    let outer = pb::Relay { to: 1, wait_ms: 1000, call: Some(Box::new(call)) };
    let relayed = one.pass_on(outer).await;
    assert!(matches!(relayed.outcome, Some(pb::relayed::Outcome::NotSent(_))), "{relayed:?}");
}

#[tokio::test]
async fn a_link_stands_again_without_being_asked() {
    let address = nobody().await;
    let one = peers(1, &[(2, &address)]);
    let outcome = one.call(NodeId(2), ping(), WAIT_MAX).await;
    assert!(matches!(&outcome, Err(CallError::NotSent(_))), "{outcome:?}");
    let listener = TcpListener::bind(&address).await.unwrap();
    let service = NodeServer::new(TestNode { peers: Some(peers(2, &[])) });
    let incoming = crate::incoming::incoming(listener);
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    let way = one.way(NodeId(2)).unwrap();
    while way.state.why_down().is_some() {
        tokio::task::yield_now().await;
    }
    let answer = one.call(NodeId(2), ping(), WAIT_MAX).await;
    assert_eq!(answer, Ok(pb::answer::Response::Pong(pb::Pong {})));
}
