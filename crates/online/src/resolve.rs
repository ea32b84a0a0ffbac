//! Names of servers, looked up beside the work.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use mio::Waker;

/// Threads at most. A system that does not answer holds up no more than these.
const MOST: usize = 8;
/// A thread that has had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// What was found for a link.
pub(crate) struct Found {
    pub link: usize,
    /// Which of its questions it answers.
    pub question: u64,
    pub addresses: io::Result<Vec<SocketAddr>>,
}

/// Finds the addresses of a name.
type Look = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Who asks.
struct Asker {
    link: usize,
    question: u64,
    port: u16,
}

/// What is to be asked, and what threads do.
#[derive(Default)]
struct Work {
    /// Names that no thread has taken yet, oldest first; each once.
    names: VecDeque<String>,
    /// Who waits for which name, those included that are being asked for.
    askers: HashMap<String, Vec<Asker>>,
    /// What each link waits for.
    asked: HashMap<usize, String>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Shared {
    work: Mutex<Work>,
    more: Condvar,
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the system, which may take seconds, in a few threads. A name that many links want is asked
/// for once.
pub(crate) struct Resolver {
    found: Receiver<Found>,
    finds: Sender<Found>,
    waker: Arc<Waker>,
    shared: Arc<Shared>,
    look: Look,
}

impl Resolver {
    pub fn new(waker: Waker) -> Self {
        Self::with(waker, |host| Ok((host, 0).to_socket_addrs()?.collect()))
    }

    fn with(waker: Waker, look: Look) -> Self {
        let (finds, found) = channel();
        let shared = Shared { work: Mutex::default(), more: Condvar::new() };
        Self { found, finds, waker: Arc::new(waker), shared: Arc::new(shared), look }
    }

    /// The address that `host` is, if it is no name.
    pub fn address(host: &str, port: u16) -> Option<SocketAddr> {
        bare(host).parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port))
    }

    /// Looks a name up; [`found`](Self::found) has the answer. What the link has asked before is of
    /// no interest any more.
    pub fn ask(&self, link: usize, question: u64, host: &str, port: u16) -> io::Result<()> {
        let mut work = self.shared.work();
        forget(&mut work, link);
        let asker = Asker { link, question, port };
        work.asked.insert(link, host.to_owned());
        match work.askers.get_mut(host) {
            Some(askers) => askers.push(asker),
            None => {
                work.askers.insert(host.to_owned(), vec![asker]);
                work.names.push_back(host.to_owned());
            }
        }
        if work.names.len() > work.idle && work.threads < MOST {
            let (shared, finds) = (Arc::clone(&self.shared), self.finds.clone());
            let (waker, look) = (Arc::clone(&self.waker), self.look);
            let thread = thread::Builder::new().name("resolver".into());
            match thread.spawn(move || work_on(&shared, &finds, &waker, look)) {
                Ok(_) => work.threads += 1,
                // The threads that there are come to it.
                Err(_) if work.threads > 0 => {}
                Err(error) => {
                    forget(&mut work, link);
                    return Err(error);
                }
            }
        }
        self.shared.more.notify_one();
        Ok(())
    }

    /// The next answer.
    pub fn found(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let mut work = self.shared.work();
        work.closed = true;
        work.names.clear();
        self.shared.more.notify_all();
    }
}

/// Lets a link's question go, and the name if nobody else wants it and no thread has it.
fn forget(work: &mut Work, link: usize) {
    let Some(name) = work.asked.remove(&link) else { return };
    let Some(askers) = work.askers.get_mut(&name) else { return };
    askers.retain(|asker| asker.link != link);
    if askers.is_empty() {
        work.askers.remove(&name);
        work.names.retain(|it| *it != name);
    }
}

/// Looks names up until there are none for a while.
fn work_on(shared: &Shared, finds: &Sender<Found>, waker: &Waker, look: Look) {
    let mut work = shared.work();
    loop {
        let Some(name) = work.names.pop_front() else {
            if work.closed {
                break;
            }
            work.idle += 1;
            let waited = shared.more.wait_timeout(work, IDLE);
            let (again, over) = waited.unwrap_or_else(PoisonError::into_inner);
            work = again;
            work.idle -= 1;
            if over.timed_out() && work.names.is_empty() {
                break;
            }
            continue;
        };
        drop(work);
        let addresses = look(&name);
        work = shared.work();
        // Who has given up meanwhile is not among them.
        for Asker { link, question, port } in work.askers.remove(&name).unwrap_or_default() {
            work.asked.remove(&link);
            let mut addresses = match &addresses {
                Ok(found) => Ok(found.clone()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            addresses.iter_mut().flatten().for_each(|address| address.set_port(port));
            let _ = finds.send(Found { link, question, addresses });
        }
        let _ = waker.wake();
    }
    work.threads -= 1;
}

/// A host without the brackets of an address of IPv6.
pub(crate) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use mio::{Poll, Token};

    use super::*;

    static LOOKING: AtomicUsize = AtomicUsize::new(0);
    static MOST_LOOKING: AtomicUsize = AtomicUsize::new(0);
    static LOOKED: AtomicUsize = AtomicUsize::new(0);

    /// A system that takes its time, and counts who waits for it.
    fn slow(host: &str) -> io::Result<Vec<SocketAddr>> {
        let now = LOOKING.fetch_add(1, Ordering::SeqCst) + 1;
        MOST_LOOKING.fetch_max(now, Ordering::SeqCst);
        LOOKED.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        LOOKING.fetch_sub(1, Ordering::SeqCst);
        let number = host.trim_start_matches("host").parse().map_err(io::Error::other)?;
        Ok(vec![SocketAddr::new(Ipv4Addr::new(10, 0, 0, number).into(), 0)])
    }

    #[test]
    fn a_thousand_questions_take_a_few_threads_and_each_name_is_asked_for_once() {
        let poll = Poll::new().unwrap();
        let resolver = Resolver::with(Waker::new(poll.registry(), Token(0)).unwrap(), slow);
        for link in 0..1000 {
            // Each changes its mind once, and only the last question counts.
            resolver.ask(link, 1, "nowhere", 1).unwrap();
            resolver.ask(link, 2, &format!("host{}", link % 40), 7000 + link as u16).unwrap();
        }
        let (mut found, until) = (0, Instant::now() + Duration::from_secs(20));
        while found < 1000 {
            assert!(Instant::now() < until, "{found} answers");
            let Some(answer) = resolver.found() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            assert_eq!(answer.question, 2);
            let (number, port) = ((answer.link % 40) as u8, 7000 + answer.link as u16);
            let address = SocketAddr::new(Ipv4Addr::new(10, 0, 0, number).into(), port);
            assert_eq!(answer.addresses.unwrap(), [address]);
            found += 1;
        }
        let most = MOST_LOOKING.load(Ordering::SeqCst);
        assert!(most <= 8, "{most} threads");
        let looked = LOOKED.load(Ordering::SeqCst);
        // A name that somebody asks for again while its answer is on its way is asked for again.
        assert!(looked <= 40 + 2 * 8, "{looked} questions for 40 names");
    }
}
