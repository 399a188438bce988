//! What ends connections from outside: KILL, idle time, shutdown, a client that is gone.
//!
//! A connection that waits for a command leaves its waker here. A worker sweeps its connections now and
//! then (`base::limits::CONNECTION_SWEEP`) and wakes those that have a reason to end, so that no query
//! pays for a timer. All of this stays on the worker's thread.
//!
//! While a statement runs nobody reads from its client, so a client that goes away would be noticed at the statement's end only;
//! a statement that waits for a row lock would meanwhile keep the locks of its transaction. The sweep therefore looks
//! at the sockets of statements that take long, and cancels those whose client has closed its end.

use base::limits::CLIENT_GONE_CHECK;
use socket2::Socket;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

/// One connection, as its worker sees it.
#[derive(Debug, Default)]
pub struct Control {
    /// The worker's clock, by sweeps.
    now: Rc<Cell<Duration>>,
    /// Whether the worker is stopping.
    stopping: Rc<Cell<bool>>,
    /// Waker of the connection while it waits for a command.
    waker: RefCell<Option<Waker>>,
    /// When it began to wait.
    waiting_since: Cell<Duration>,
    /// How long it may wait.
    idle_max: Cell<Duration>,
    /// When its statement began; none while it waits for a command.
    busy_since: Cell<Option<Duration>>,
    /// The client's socket once more, to look whether it is closed.
    socket: Option<Socket>,
    /// Raised by KILL.
    cancel: RefCell<Option<Arc<AtomicBool>>>,
}

impl Control {
    /// The session's flag that KILL raises.
    pub fn watch(&self, cancel: Arc<AtomicBool>) {
        *self.cancel.borrow_mut() = Some(cancel);
    }

    /// The connection begins to wait for a command and may do so for this long.
    pub fn begin_waiting(&self, idle_max: Duration) {
        self.waiting_since.set(self.now.get());
        self.idle_max.set(idle_max);
        self.busy_since.set(None);
    }

    /// Keeps the waker of the waiting connection.
    pub fn park(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match waker.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// The connection has a command and is not to be woken.
    pub fn end_waiting(&self) {
        *self.waker.borrow_mut() = None;
        self.busy_since.set(Some(self.now.get()));
    }

    /// Whether the worker is stopping: the connection ends after what it is doing.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Whether the client was silent for too long.
    pub fn is_idle_too_long(&self) -> bool {
        self.now.get().saturating_sub(self.waiting_since.get()) >= self.idle_max.get()
    }

    /// Whether its statement runs for a while already and nobody waits for the answer.
    fn is_abandoned(&self) -> bool {
        let Some(since) = self.busy_since.get() else { return false };
        if self.now.get().saturating_sub(since) < CLIENT_GONE_CHECK {
            return false;
        }
        let Some(socket) = &self.socket else { return false };
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Ok(bytes) => bytes == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Wakes a waiting connection that has a reason to end, and cancels a statement that nobody waits for.
    fn sweep(&self) {
        if self.is_abandoned()
            && let Some(cancel) = self.cancel.borrow().as_ref()
        {
            cancel.store(true, Ordering::Release);
        }
        let raised = |flag: &Arc<AtomicBool>| flag.load(Ordering::Acquire);
        let cancelled = self.cancel.borrow().as_ref().is_some_and(raised);
        if (cancelled || self.is_stopping() || self.is_idle_too_long())
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub struct Connections {
    /// By connection id.
    live: RefCell<BTreeMap<u32, Rc<Control>>>,
    /// Time of the last sweep.
    now: Rc<Cell<Duration>>,
    /// Whether the worker is stopping.
    stopping: Rc<Cell<bool>>,
}

impl Connections {
    /// Adds a connection until the answer is dropped. `socket` is the client's, once more.
    pub fn enter(self: &Rc<Self>, id: u32, socket: Option<Socket>) -> Presence {
        let control = Rc::new(Control {
            socket,
            now: self.now.clone(),
            stopping: self.stopping.clone(),
            ..Control::default()
        });
        self.live.borrow_mut().insert(id, control.clone());
        Presence { connections: self.clone(), id, control }
    }

    /// Wakes the connections that have a reason to end at this time.
    pub fn sweep(&self, now: Duration) {
        self.now.set(now);
        for control in self.live.borrow().values() {
            control.sweep();
        }
    }

    /// From now on connections end as soon as they are idle.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.sweep(self.now.get());
    }

    /// Whether no connection is left.
    pub fn is_empty(&self) -> bool {
        self.live.borrow().is_empty()
    }
}

/// A connection's entry at its worker.
#[derive(Debug)]
pub struct Presence {
    /// Where it is entered.
    connections: Rc<Connections>,
    /// Under which id.
    id: u32,
    /// Its state.
    pub control: Rc<Control>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.connections.live.borrow_mut().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::{ArcWake, waker};
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl ArcWake for Wakes {
        fn wake_by_ref(wakes: &Arc<Wakes>) {
            wakes.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection that waits, and the count of its wakes.
    fn waiting(connections: &Rc<Connections>, idle_max: u64) -> (Presence, Arc<Wakes>) {
        let presence = connections.enter(1, None);
        let wakes = Arc::new(Wakes::default());
        presence.control.begin_waiting(Duration::from_secs(idle_max));
        presence.control.park(&Context::from_waker(&waker(wakes.clone())));
        (presence, wakes)
    }

    #[test]
    fn idle_connection_is_woken_when_its_time_is_over() {
        let connections = Rc::new(Connections::default());
        let (presence, wakes) = waiting(&connections, 10);
        connections.sweep(Duration::from_secs(9));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        connections.sweep(Duration::from_secs(10));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(presence.control.is_idle_too_long());
    }

    #[test]
    fn busy_connection_is_not_woken() {
        let connections = Rc::new(Connections::default());
        let (presence, wakes) = waiting(&connections, 10);
        presence.control.end_waiting();
        connections.stop();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        assert!(presence.control.is_stopping());
    }

    #[test]
    fn killed_connection_is_woken() {
        let connections = Rc::new(Connections::default());
        let (presence, wakes) = waiting(&connections, 10);
        presence.control.watch(Arc::new(AtomicBool::new(true)));
        connections.sweep(Duration::ZERO);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn statement_of_a_client_that_is_gone_is_cancelled_after_a_while() {
        let (ours, theirs) =
            Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        ours.set_nonblocking(true).unwrap();
        let connections = Rc::new(Connections::default());
        let presence = connections.enter(1, Some(ours));
        let cancel = Arc::new(AtomicBool::new(false));
        presence.control.watch(cancel.clone());
        presence.control.end_waiting();
        connections.sweep(CLIENT_GONE_CHECK);
        assert!(!cancel.load(Ordering::Acquire), "the client waits");
        drop(theirs);
        presence.control.begin_waiting(Duration::MAX);
        connections.sweep(CLIENT_GONE_CHECK * 2);
        assert!(!cancel.load(Ordering::Acquire), "no statement runs");
        presence.control.end_waiting();
        connections.sweep(CLIENT_GONE_CHECK * 2);
        assert!(!cancel.load(Ordering::Acquire), "it has only begun");
        connections.sweep(CLIENT_GONE_CHECK * 3);
        assert!(cancel.load(Ordering::Acquire));
    }

    #[test]
    fn connection_leaves_when_it_ends() {
        let connections = Rc::new(Connections::default());
        let (presence, _) = waiting(&connections, 10);
        drop(presence);
        assert!(connections.is_empty());
    }
}
