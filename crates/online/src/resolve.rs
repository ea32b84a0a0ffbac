//! Names of servers, looked up beside the work.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

/// What was found for a link.
pub(crate) struct Found {
    pub link: usize,
    /// Which of its questions it answers.
    pub question: u64,
    pub addresses: io::Result<Vec<SocketAddr>>,
}

/// Asks the system, which may take seconds, in threads of their own.
pub(crate) struct Resolver {
    found: Receiver<Found>,
    finds: Sender<Found>,
    waker: Arc<Waker>,
}

impl Resolver {
    pub fn new(waker: Waker) -> Self {
        let (finds, found) = channel();
        Self { found, finds, waker: Arc::new(waker) }
    }

    /// The address that `host` is, if it is no name.
    pub fn address(host: &str, port: u16) -> Option<SocketAddr> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port))
    }

    /// Looks a name up; [`found`](Self::found) has the answer.
    pub fn ask(&self, link: usize, question: u64, host: &str, port: u16) -> io::Result<()> {
        let (finds, waker) = (self.finds.clone(), Arc::clone(&self.waker));
        let host = host.to_owned();
        thread::Builder::new().name("resolver".into()).spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // Nobody may wait for it any more.
            let _ = finds.send(Found { link, question, addresses });
            let _ = waker.wake();
        })?;
        Ok(())
    }

    /// The next answer.
    pub fn found(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }
}
