//! Messages between nodes that come late or twice.
//!
//! Lanes keep the order of their messages, and so does this: a late message holds up what follows it on its
//! lane, which lets other lanes overtake. A second copy comes at any later time while its lane lives, as after
//! a reconnect.

use super::world::World;
use base::Rng;
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

/// Bytes before a message: a flag and its length.
const PREFIX_BYTES: usize = 5;
/// Longest delay of a message.
const LATE_MS_MAX: u64 = 800;
/// Longest time until a second copy comes.
const TWICE_MS_MAX: u64 = 3000;

/// A service whose lanes are not in a hurry.
#[derive(Clone)]
pub struct Mail<S> {
    /// The service.
    inner: S,
    /// Decides what comes late.
    world: Arc<World>,
}

impl<S> Mail<S> {
    /// Mail for this service.
    pub fn new(inner: S, world: Arc<World>) -> Mail<S> {
        Mail { inner, world }
    }
}

impl<S: NamedService> NamedService for Mail<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Mail<S>
where
    S: Service<http::Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let plan = &self.world.plan;
        if !request.uri().path().ends_with("/Lane") || (plan.late == 0.0 && plan.twice == 0.0) {
            return self.inner.call(request);
        }
        let world = self.world.clone();
        self.inner.call(request.map(|body| Body::new(Letters::new(body, world))))
    }
}

/// The messages of one lane.
struct Letters {
    /// Where they come from.
    body: Body,
    /// The beginning of a message.
    partial: BytesMut,
    /// In order, with the time from which each may pass.
    queue: VecDeque<(Instant, Bytes)>,
    /// Second copies and when they come.
    copies: Vec<(Instant, Bytes)>,
    /// Wakes at the next of them.
    timer: Pin<Box<Sleep>>,
    /// How the lane ended.
    ended: Option<Option<Status>>,
    /// Chance.
    rng: Rng,
    /// How often.
    world: Arc<World>,
}

#[allow(clippy::disallowed_methods)] // The simulation's own time.
fn now() -> Instant {
    Instant::now()
}

impl Letters {
    fn new(body: Body, world: Arc<World>) -> Letters {
        Letters {
            body,
            partial: BytesMut::new(),
            queue: VecDeque::new(),
            copies: Vec::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            ended: None,
            rng: world.draw(),
            world,
        }
    }

    /// Takes what has come.
    fn take(&mut self, data: Bytes) {
        self.partial.extend_from_slice(&data);
        while let Some(prefix) = self.partial.get(..PREFIX_BYTES) {
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            if self.partial.len() < PREFIX_BYTES + length {
                return;
            }
            let message = self.partial.split_to(PREFIX_BYTES + length).freeze();
            let mut due = self.queue.back().map_or_else(now, |(due, _)| *due);
            if self.rng.chance(self.world.plan.late) {
                self.world.count("fault: message late", 1);
                due = due.max(now()) + Duration::from_millis(self.rng.below(LATE_MS_MAX));
            }
            if self.rng.chance(self.world.plan.twice) {
                self.world.count("fault: message twice", 1);
                let again = now() + Duration::from_millis(self.rng.below(TWICE_MS_MAX));
                self.copies.push((again, message.clone()));
            }
            self.queue.push_back((due, message));
        }
    }

    /// The next message that may pass, or the time of the next.
    fn next(&mut self) -> Result<Bytes, Option<Instant>> {
        let now = now();
        if let Some(position) = self.copies.iter().position(|(due, _)| *due <= now) {
            return Ok(self.copies.remove(position).1);
        }
        if self.queue.front().is_some_and(|(due, _)| *due <= now)
            && let Some((_, message)) = self.queue.pop_front()
        {
            return Ok(message);
        }
        let copies = self.copies.iter().map(|(due, _)| *due);
        Err(copies.chain(self.queue.front().map(|(due, _)| *due)).min())
    }
}

impl HttpBody for Letters {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        while self.ended.is_none() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // A request has no trailers.
                    if let Ok(mut data) = frame.into_data() {
                        let data = data.copy_to_bytes(data.remaining());
                        self.take(data);
                    }
                }
                Poll::Ready(Some(Err(status))) => self.ended = Some(Some(status)),
                Poll::Ready(None) => self.ended = Some(None),
                Poll::Pending => break,
            }
        }
        loop {
            let due = match self.next() {
                Ok(message) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Err(due) => due,
            };
            if self.queue.is_empty()
                && let Some(end) = &mut self.ended
            {
                return Poll::Ready(end.take().map(Err));
            }
            let Some(due) = due else { return Poll::Pending };
            self.timer.as_mut().reset(due);
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
